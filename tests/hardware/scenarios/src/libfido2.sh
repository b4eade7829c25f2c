# How libfido2's tools are asked, for scenarios: `. ./libfido2.sh` with KEY naming the device. Each makes or gets, and
# then verifies with the same options.
set -eu

random() { head -c "${1:-32}" /dev/urandom | base64 -w 0; echo; }

# make NAME [OPTION...]: a credential, in NAME.cred its id and its public key.
make() {
    name=$1
    shift
    { random; echo localhost; echo "$name"; random; } >"$name.asked"
    fido2-cred -M -i "$name.asked" "$@" "$KEY" es256 >"$name.made"
    verified=
    for option in "$@"; do case $option in -r | -rv) ;; *) verified="$verified $option" ;; esac; done
    fido2-cred -V $verified -i "$name.made" -o "$name.cred" es256
    sed 1d "$name.cred" >"$name.pem"
    echo "made $name: $(sed -n 3p "$name.made"), certificates: $(sed -n '7,$p' "$name.made" | grep -c .)"
}

# assert NAME [OPTION...]: with the credential NAME; SALT is of hmac-secret, and SECRET what came of it.
assert() {
    name=$1
    shift
    { random; echo localhost; sed -n 1p "$name.cred"; [ -z "${SALT:-}" ] || echo "$SALT"; } >"$name.asked"
    fido2-assert -G -i "$name.asked" "$@" "$KEY" >"$name.got"
    verified=-p
    for option in "$@"; do case $option in -h | -v) verified="$verified $option" ;; esac; done
    fido2-assert -V $verified -i "$name.got" "$name.pem" es256
    SECRET=$(sed -n 5p "$name.got")
    echo "asserted $name"
}

# fails COMMAND...: it must not succeed. (Not in a condition, where the command's own `set -e` would be ignored.)
fails() {
    set +e
    (set -e; "$@")
    status=$?
    set -e
    [ $status -ne 0 ] || { echo "this succeeded: $*"; exit 1; }
}
