# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_elevate_global_optspecs
    string join \n json n/non-interactive debug ttl= min-ttl= scope= reason= once k K v l h/help V/version
end

function __fish_elevate_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_elevate_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_elevate_using_subcommand
    set -l cmd (__fish_elevate_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c elevate -n "__fish_elevate_needs_command" -l ttl -d 'Longest time wanted: 45s, 15m, 1h30m' -r
complete -c elevate -n "__fish_elevate_needs_command" -l min-ttl -d 'Least time a grant that is already held must still last' -r
complete -c elevate -n "__fish_elevate_needs_command" -l scope -d 'Scope wanted, as words' -r
complete -c elevate -n "__fish_elevate_needs_command" -l reason -d 'Why; shown before the touch and kept in the log' -r
complete -c elevate -n "__fish_elevate_needs_command" -l json -d 'One JSON object on stdout, errors as one on stderr'
complete -c elevate -n "__fish_elevate_needs_command" -s n -l non-interactive -d 'Never prompt, never wait for a touch'
complete -c elevate -n "__fish_elevate_needs_command" -l debug -d 'Say on stderr what is done'
complete -c elevate -n "__fish_elevate_needs_command" -l once -d 'Revoke when the command ends'
complete -c elevate -n "__fish_elevate_needs_command" -s k -d 'Ignore the grants held and leave them as they are; alone: drop them'
complete -c elevate -n "__fish_elevate_needs_command" -s K -d 'Revoke everything this device holds; the local copies go first'
complete -c elevate -n "__fish_elevate_needs_command" -s v -d 'Renew to the full time'
complete -c elevate -n "__fish_elevate_needs_command" -s l -d 'The same as `elevate list`'
complete -c elevate -n "__fish_elevate_needs_command" -s h -l help -d 'Print help'
complete -c elevate -n "__fish_elevate_needs_command" -s V -l version -d 'Print version'
complete -c elevate -n "__fish_elevate_needs_command" -a "run" -d 'Run a command with a credential'
complete -c elevate -n "__fish_elevate_needs_command" -a "token" -d 'Print a token'
complete -c elevate -n "__fish_elevate_needs_command" -a "env" -d 'Print the credential as exports for a POSIX shell'
complete -c elevate -n "__fish_elevate_needs_command" -a "list" -d 'What you may elevate to, and what it takes'
complete -c elevate -n "__fish_elevate_needs_command" -a "status" -d 'What you hold now'
complete -c elevate -n "__fish_elevate_needs_command" -a "drop" -d 'End grants: the local copies first, then at the authority'
complete -c elevate -n "__fish_elevate_needs_command" -a "key" -d 'Your security keys'
complete -c elevate -n "__fish_elevate_needs_command" -a "explain" -d 'What would happen, and why'
complete -c elevate -n "__fish_elevate_needs_command" -a "audit" -d 'The log'
complete -c elevate -n "__fish_elevate_needs_command" -a "init" -d 'Set up an authority for this account on this machine'
complete -c elevate -n "__fish_elevate_needs_command" -a "doctor" -d 'What keeps elevation from working here, and what to do about it'
complete -c elevate -n "__fish_elevate_needs_command" -a "demo" -d 'See all of it work, in a temporary directory'
complete -c elevate -n "__fish_elevate_needs_command" -a "admin" -d 'Change the authority: each change is an elevation of its own'
complete -c elevate -n "__fish_elevate_needs_command" -a "reap-expired-grants" -d 'Removes expired grants until none is left'
complete -c elevate -n "__fish_elevate_needs_command" -a "demo-call" -d 'Calls the demo\'s service'
complete -c elevate -n "__fish_elevate_using_subcommand run" -l ttl -d 'Longest time wanted: 45s, 15m, 1h30m' -r
complete -c elevate -n "__fish_elevate_using_subcommand run" -l min-ttl -d 'Least time a grant that is already held must still last' -r
complete -c elevate -n "__fish_elevate_using_subcommand run" -l scope -d 'Scope wanted, as words' -r
complete -c elevate -n "__fish_elevate_using_subcommand run" -l reason -d 'Why; shown before the touch and kept in the log' -r
complete -c elevate -n "__fish_elevate_using_subcommand run" -l once -d 'Revoke when the command ends'
complete -c elevate -n "__fish_elevate_using_subcommand run" -s k -d 'Ignore the grants held and leave them as they are; alone: drop them'
complete -c elevate -n "__fish_elevate_using_subcommand run" -l json -d 'One JSON object on stdout, errors as one on stderr'
complete -c elevate -n "__fish_elevate_using_subcommand run" -s n -l non-interactive -d 'Never prompt, never wait for a touch'
complete -c elevate -n "__fish_elevate_using_subcommand run" -l debug -d 'Say on stderr what is done'
complete -c elevate -n "__fish_elevate_using_subcommand run" -s h -l help -d 'Print help'
complete -c elevate -n "__fish_elevate_using_subcommand token" -l ttl -d 'Longest time wanted: 45s, 15m, 1h30m' -r
complete -c elevate -n "__fish_elevate_using_subcommand token" -l min-ttl -d 'Least time a grant that is already held must still last' -r
complete -c elevate -n "__fish_elevate_using_subcommand token" -l scope -d 'Scope wanted, as words' -r
complete -c elevate -n "__fish_elevate_using_subcommand token" -l reason -d 'Why; shown before the touch and kept in the log' -r
complete -c elevate -n "__fish_elevate_using_subcommand token" -l once -d 'Revoke when the command ends'
complete -c elevate -n "__fish_elevate_using_subcommand token" -s k -d 'Ignore the grants held and leave them as they are; alone: drop them'
complete -c elevate -n "__fish_elevate_using_subcommand token" -l json -d 'One JSON object on stdout, errors as one on stderr'
complete -c elevate -n "__fish_elevate_using_subcommand token" -s n -l non-interactive -d 'Never prompt, never wait for a touch'
complete -c elevate -n "__fish_elevate_using_subcommand token" -l debug -d 'Say on stderr what is done'
complete -c elevate -n "__fish_elevate_using_subcommand token" -s h -l help -d 'Print help'
complete -c elevate -n "__fish_elevate_using_subcommand env" -l ttl -d 'Longest time wanted: 45s, 15m, 1h30m' -r
complete -c elevate -n "__fish_elevate_using_subcommand env" -l min-ttl -d 'Least time a grant that is already held must still last' -r
complete -c elevate -n "__fish_elevate_using_subcommand env" -l scope -d 'Scope wanted, as words' -r
complete -c elevate -n "__fish_elevate_using_subcommand env" -l reason -d 'Why; shown before the touch and kept in the log' -r
complete -c elevate -n "__fish_elevate_using_subcommand env" -l once -d 'Revoke when the command ends'
complete -c elevate -n "__fish_elevate_using_subcommand env" -s k -d 'Ignore the grants held and leave them as they are; alone: drop them'
complete -c elevate -n "__fish_elevate_using_subcommand env" -l json -d 'One JSON object on stdout, errors as one on stderr'
complete -c elevate -n "__fish_elevate_using_subcommand env" -s n -l non-interactive -d 'Never prompt, never wait for a touch'
complete -c elevate -n "__fish_elevate_using_subcommand env" -l debug -d 'Say on stderr what is done'
complete -c elevate -n "__fish_elevate_using_subcommand env" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c elevate -n "__fish_elevate_using_subcommand list" -l json -d 'One JSON object on stdout, errors as one on stderr'
complete -c elevate -n "__fish_elevate_using_subcommand list" -s n -l non-interactive -d 'Never prompt, never wait for a touch'
complete -c elevate -n "__fish_elevate_using_subcommand list" -l debug -d 'Say on stderr what is done'
complete -c elevate -n "__fish_elevate_using_subcommand list" -s h -l help -d 'Print help'
complete -c elevate -n "__fish_elevate_using_subcommand status" -l json -d 'One JSON object on stdout, errors as one on stderr'
complete -c elevate -n "__fish_elevate_using_subcommand status" -s n -l non-interactive -d 'Never prompt, never wait for a touch'
complete -c elevate -n "__fish_elevate_using_subcommand status" -l debug -d 'Say on stderr what is done'
complete -c elevate -n "__fish_elevate_using_subcommand status" -s h -l help -d 'Print help'
complete -c elevate -n "__fish_elevate_using_subcommand drop" -l json -d 'One JSON object on stdout, errors as one on stderr'
complete -c elevate -n "__fish_elevate_using_subcommand drop" -s n -l non-interactive -d 'Never prompt, never wait for a touch'
complete -c elevate -n "__fish_elevate_using_subcommand drop" -l debug -d 'Say on stderr what is done'
complete -c elevate -n "__fish_elevate_using_subcommand drop" -s h -l help -d 'Print help'
complete -c elevate -n "__fish_elevate_using_subcommand key; and not __fish_seen_subcommand_from enroll list remove" -l json -d 'One JSON object on stdout, errors as one on stderr'
complete -c elevate -n "__fish_elevate_using_subcommand key; and not __fish_seen_subcommand_from enroll list remove" -s n -l non-interactive -d 'Never prompt, never wait for a touch'
complete -c elevate -n "__fish_elevate_using_subcommand key; and not __fish_seen_subcommand_from enroll list remove" -l debug -d 'Say on stderr what is done'
complete -c elevate -n "__fish_elevate_using_subcommand key; and not __fish_seen_subcommand_from enroll list remove" -s h -l help -d 'Print help'
complete -c elevate -n "__fish_elevate_using_subcommand key; and not __fish_seen_subcommand_from enroll list remove" -f -a "enroll" -d 'Enrol a key'
complete -c elevate -n "__fish_elevate_using_subcommand key; and not __fish_seen_subcommand_from enroll list remove" -f -a "list" -d 'Your keys'
complete -c elevate -n "__fish_elevate_using_subcommand key; and not __fish_seen_subcommand_from enroll list remove" -f -a "remove" -d 'Remove a key'
complete -c elevate -n "__fish_elevate_using_subcommand key; and __fish_seen_subcommand_from enroll" -l software -d 'Make a key that is a file'
complete -c elevate -n "__fish_elevate_using_subcommand key; and __fish_seen_subcommand_from enroll" -l json -d 'One JSON object on stdout, errors as one on stderr'
complete -c elevate -n "__fish_elevate_using_subcommand key; and __fish_seen_subcommand_from enroll" -s n -l non-interactive -d 'Never prompt, never wait for a touch'
complete -c elevate -n "__fish_elevate_using_subcommand key; and __fish_seen_subcommand_from enroll" -l debug -d 'Say on stderr what is done'
complete -c elevate -n "__fish_elevate_using_subcommand key; and __fish_seen_subcommand_from enroll" -s h -l help -d 'Print help'
complete -c elevate -n "__fish_elevate_using_subcommand key; and __fish_seen_subcommand_from list" -l json -d 'One JSON object on stdout, errors as one on stderr'
complete -c elevate -n "__fish_elevate_using_subcommand key; and __fish_seen_subcommand_from list" -s n -l non-interactive -d 'Never prompt, never wait for a touch'
complete -c elevate -n "__fish_elevate_using_subcommand key; and __fish_seen_subcommand_from list" -l debug -d 'Say on stderr what is done'
complete -c elevate -n "__fish_elevate_using_subcommand key; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c elevate -n "__fish_elevate_using_subcommand key; and __fish_seen_subcommand_from remove" -l json -d 'One JSON object on stdout, errors as one on stderr'
complete -c elevate -n "__fish_elevate_using_subcommand key; and __fish_seen_subcommand_from remove" -s n -l non-interactive -d 'Never prompt, never wait for a touch'
complete -c elevate -n "__fish_elevate_using_subcommand key; and __fish_seen_subcommand_from remove" -l debug -d 'Say on stderr what is done'
complete -c elevate -n "__fish_elevate_using_subcommand key; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c elevate -n "__fish_elevate_using_subcommand explain" -l json -d 'One JSON object on stdout, errors as one on stderr'
complete -c elevate -n "__fish_elevate_using_subcommand explain" -s n -l non-interactive -d 'Never prompt, never wait for a touch'
complete -c elevate -n "__fish_elevate_using_subcommand explain" -l debug -d 'Say on stderr what is done'
complete -c elevate -n "__fish_elevate_using_subcommand explain" -s h -l help -d 'Print help'
complete -c elevate -n "__fish_elevate_using_subcommand audit; and not __fish_seen_subcommand_from verify show" -l json -d 'One JSON object on stdout, errors as one on stderr'
complete -c elevate -n "__fish_elevate_using_subcommand audit; and not __fish_seen_subcommand_from verify show" -s n -l non-interactive -d 'Never prompt, never wait for a touch'
complete -c elevate -n "__fish_elevate_using_subcommand audit; and not __fish_seen_subcommand_from verify show" -l debug -d 'Say on stderr what is done'
complete -c elevate -n "__fish_elevate_using_subcommand audit; and not __fish_seen_subcommand_from verify show" -s h -l help -d 'Print help'
complete -c elevate -n "__fish_elevate_using_subcommand audit; and not __fish_seen_subcommand_from verify show" -f -a "verify" -d 'Check every entry against what was signed; name what is wrong'
complete -c elevate -n "__fish_elevate_using_subcommand audit; and not __fish_seen_subcommand_from verify show" -f -a "show" -d 'Show the entries'
complete -c elevate -n "__fish_elevate_using_subcommand audit; and __fish_seen_subcommand_from verify" -l json -d 'One JSON object on stdout, errors as one on stderr'
complete -c elevate -n "__fish_elevate_using_subcommand audit; and __fish_seen_subcommand_from verify" -s n -l non-interactive -d 'Never prompt, never wait for a touch'
complete -c elevate -n "__fish_elevate_using_subcommand audit; and __fish_seen_subcommand_from verify" -l debug -d 'Say on stderr what is done'
complete -c elevate -n "__fish_elevate_using_subcommand audit; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c elevate -n "__fish_elevate_using_subcommand audit; and __fish_seen_subcommand_from show" -l last -d 'Only the last N' -r
complete -c elevate -n "__fish_elevate_using_subcommand audit; and __fish_seen_subcommand_from show" -l json -d 'One JSON object on stdout, errors as one on stderr'
complete -c elevate -n "__fish_elevate_using_subcommand audit; and __fish_seen_subcommand_from show" -s n -l non-interactive -d 'Never prompt, never wait for a touch'
complete -c elevate -n "__fish_elevate_using_subcommand audit; and __fish_seen_subcommand_from show" -l debug -d 'Say on stderr what is done'
complete -c elevate -n "__fish_elevate_using_subcommand audit; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c elevate -n "__fish_elevate_using_subcommand init" -l software-key -d 'Also enrol a key that is a file, of this name' -r
complete -c elevate -n "__fish_elevate_using_subcommand init" -l json -d 'One JSON object on stdout, errors as one on stderr'
complete -c elevate -n "__fish_elevate_using_subcommand init" -s n -l non-interactive -d 'Never prompt, never wait for a touch'
complete -c elevate -n "__fish_elevate_using_subcommand init" -l debug -d 'Say on stderr what is done'
complete -c elevate -n "__fish_elevate_using_subcommand init" -s h -l help -d 'Print help'
complete -c elevate -n "__fish_elevate_using_subcommand doctor" -l udev-rule -d 'Print the udev rule that lets you open security keys, and nothing else'
complete -c elevate -n "__fish_elevate_using_subcommand doctor" -l json -d 'One JSON object on stdout, errors as one on stderr'
complete -c elevate -n "__fish_elevate_using_subcommand doctor" -s n -l non-interactive -d 'Never prompt, never wait for a touch'
complete -c elevate -n "__fish_elevate_using_subcommand doctor" -l debug -d 'Say on stderr what is done'
complete -c elevate -n "__fish_elevate_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c elevate -n "__fish_elevate_using_subcommand demo" -l yes -d 'Approve unattended'
complete -c elevate -n "__fish_elevate_using_subcommand demo" -l json -d 'One JSON object on stdout, errors as one on stderr'
complete -c elevate -n "__fish_elevate_using_subcommand demo" -s n -l non-interactive -d 'Never prompt, never wait for a touch'
complete -c elevate -n "__fish_elevate_using_subcommand demo" -l debug -d 'Say on stderr what is done'
complete -c elevate -n "__fish_elevate_using_subcommand demo" -s h -l help -d 'Print help'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and not __fish_seen_subcommand_from secret user grant keys" -l json -d 'One JSON object on stdout, errors as one on stderr'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and not __fish_seen_subcommand_from secret user grant keys" -s n -l non-interactive -d 'Never prompt, never wait for a touch'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and not __fish_seen_subcommand_from secret user grant keys" -l debug -d 'Say on stderr what is done'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and not __fish_seen_subcommand_from secret user grant keys" -s h -l help -d 'Print help'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and not __fish_seen_subcommand_from secret user grant keys" -f -a "secret" -d 'Stored passwords and API keys'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and not __fish_seen_subcommand_from secret user grant keys" -f -a "user" -d 'Users'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and not __fish_seen_subcommand_from secret user grant keys" -f -a "grant" -d 'Everybody\'s grants'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and not __fish_seen_subcommand_from secret user grant keys" -f -a "keys" -d 'The keys that sign tokens'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from secret" -l json -d 'One JSON object on stdout, errors as one on stderr'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from secret" -s n -l non-interactive -d 'Never prompt, never wait for a touch'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from secret" -l debug -d 'Say on stderr what is done'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from secret" -s h -l help -d 'Print help'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from secret" -f -a "set" -d 'Put in or replace a secret, from stdin or a prompt'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from secret" -f -a "remove" -d 'Remove a secret'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from secret" -f -a "list" -d 'Which secrets are stored'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from user" -l json -d 'One JSON object on stdout, errors as one on stderr'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from user" -s n -l non-interactive -d 'Never prompt, never wait for a touch'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from user" -l debug -d 'Say on stderr what is done'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from user" -s h -l help -d 'Print help'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from user" -f -a "list" -d 'Who has asked'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from user" -f -a "disable" -d 'Shut out; grants end at once'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from user" -f -a "enable" -d 'Let in again'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from grant" -l json -d 'One JSON object on stdout, errors as one on stderr'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from grant" -s n -l non-interactive -d 'Never prompt, never wait for a touch'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from grant" -l debug -d 'Say on stderr what is done'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from grant" -s h -l help -d 'Print help'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from grant" -f -a "list" -d 'Grants that stand'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from grant" -f -a "revoke" -d 'End one'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from keys" -l json -d 'One JSON object on stdout, errors as one on stderr'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from keys" -s n -l non-interactive -d 'Never prompt, never wait for a touch'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from keys" -l debug -d 'Say on stderr what is done'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from keys" -s h -l help -d 'Print help'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from keys" -f -a "list" -d 'The keys there are'
complete -c elevate -n "__fish_elevate_using_subcommand admin; and __fish_seen_subcommand_from keys" -f -a "rotate" -d 'Sign with a new one; old tokens stay good to their end'
complete -c elevate -n "__fish_elevate_using_subcommand reap-expired-grants" -l json -d 'One JSON object on stdout, errors as one on stderr'
complete -c elevate -n "__fish_elevate_using_subcommand reap-expired-grants" -s n -l non-interactive -d 'Never prompt, never wait for a touch'
complete -c elevate -n "__fish_elevate_using_subcommand reap-expired-grants" -l debug -d 'Say on stderr what is done'
complete -c elevate -n "__fish_elevate_using_subcommand reap-expired-grants" -s h -l help -d 'Print help'
complete -c elevate -n "__fish_elevate_using_subcommand demo-call" -l json -d 'One JSON object on stdout, errors as one on stderr'
complete -c elevate -n "__fish_elevate_using_subcommand demo-call" -s n -l non-interactive -d 'Never prompt, never wait for a touch'
complete -c elevate -n "__fish_elevate_using_subcommand demo-call" -l debug -d 'Say on stderr what is done'
complete -c elevate -n "__fish_elevate_using_subcommand demo-call" -s h -l help -d 'Print help'
