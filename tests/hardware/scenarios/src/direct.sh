#!/bin/sh
# Root's: an authority on the loopback without an identity provider, which invites a person.
set -e
umask 077
export HOME=/run/direct XDG_RUNTIME_DIR=/run/direct PATH=/usr/bin:/bin
config=$HOME/.config/elevate socket=$HOME/socket/elevate
mkdir -p "$HOME/data" "$HOME/socket"
elevate init >/dev/null
cat >"$config/authority.toml" <<'END'
issuer = "https://localhost:8470"

[listen]
address = "127.0.0.1:8470"
plain_http = true
trusted_proxies = ["127.0.0.1/32"]

[sign_in]
allow = ["*"]
END
# Root has no key here, and is at no terminal.
cat >>"$config/policy.cedar" <<'END'

@id("root")
@max_ttl("2m")
permit (principal == User::"uid:0", action == Action::"administer", resource);
END
{
    until elevate --authority "unix:$socket" admin user invite person >"$HOME/invitation"; do sleep 1; done
    cp "$HOME/invitation" /run/invitation
    chmod 644 /run/invitation
    echo 'the person is invited'
} &
exec elevate-authority serve --config "$config" --data "$HOME/data" --socket "$socket"
