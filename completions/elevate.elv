
use builtin;
use str;

set edit:completion:arg-completer[elevate] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'elevate'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'elevate'= {
            cand --ttl 'Longest time wanted: 45s, 15m, 1h30m'
            cand --min-ttl 'Least time a grant that is already held must still last'
            cand --scope 'Scope wanted, as words'
            cand --reason 'Why; shown before the touch and kept in the log'
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand --once 'Revoke when the command ends'
            cand -k 'Ignore the grants held and leave them as they are; alone: drop them'
            cand -K 'Revoke everything this device holds; the local copies go first'
            cand -v 'Renew to the full time'
            cand -l 'The same as `elevate list`'
            cand -h 'Print help'
            cand --help 'Print help'
            cand -V 'Print version'
            cand --version 'Print version'
            cand run 'Run a command with a credential'
            cand token 'Print a token'
            cand env 'Print the credential as exports for a POSIX shell'
            cand list 'What you may elevate to, and what it takes'
            cand status 'What you hold now'
            cand drop 'End grants: the local copies first, then at the authority'
            cand key 'Your security keys'
            cand explain 'What would happen, and why'
            cand audit 'The log'
            cand init 'Set up an authority for this account on this machine'
            cand doctor 'What keeps elevation from working here, and what to do about it'
            cand demo 'See all of it work, in a temporary directory'
            cand admin 'Change the authority: each change is an elevation of its own'
            cand reap-expired-grants 'Removes expired grants until none is left'
            cand drive-security-key 'Drives one security key, for the process that started it'
            cand demo-call 'Calls the demo''s service'
        }
        &'elevate;run'= {
            cand --ttl 'Longest time wanted: 45s, 15m, 1h30m'
            cand --min-ttl 'Least time a grant that is already held must still last'
            cand --scope 'Scope wanted, as words'
            cand --reason 'Why; shown before the touch and kept in the log'
            cand --once 'Revoke when the command ends'
            cand -k 'Ignore the grants held and leave them as they are; alone: drop them'
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;token'= {
            cand --ttl 'Longest time wanted: 45s, 15m, 1h30m'
            cand --min-ttl 'Least time a grant that is already held must still last'
            cand --scope 'Scope wanted, as words'
            cand --reason 'Why; shown before the touch and kept in the log'
            cand --once 'Revoke when the command ends'
            cand -k 'Ignore the grants held and leave them as they are; alone: drop them'
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;env'= {
            cand --ttl 'Longest time wanted: 45s, 15m, 1h30m'
            cand --min-ttl 'Least time a grant that is already held must still last'
            cand --scope 'Scope wanted, as words'
            cand --reason 'Why; shown before the touch and kept in the log'
            cand --once 'Revoke when the command ends'
            cand -k 'Ignore the grants held and leave them as they are; alone: drop them'
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'elevate;list'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;status'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;drop'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;key'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
            cand enroll 'Enrol a key'
            cand list 'Your keys'
            cand pin 'Set the PIN of the key that is plugged in, or change it'
            cand remove 'Remove a key'
        }
        &'elevate;key;enroll'= {
            cand --software 'Make a key that is a file'
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;key;list'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;key;pin'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;key;remove'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;explain'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;audit'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
            cand verify 'Check every entry against what was signed; name what is wrong'
            cand show 'Show the entries'
        }
        &'elevate;audit;verify'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;audit;show'= {
            cand --last 'Only the last N'
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;init'= {
            cand --software-key 'Also enrol a key that is a file, of this name'
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;doctor'= {
            cand --udev-rule 'Print the udev rule that lets you open security keys, and nothing else'
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;demo'= {
            cand --yes 'Approve unattended'
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;admin'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
            cand secret 'Stored passwords and API keys'
            cand user 'Users'
            cand grant 'Everybody''s grants'
            cand keys 'The keys that sign tokens'
        }
        &'elevate;admin;secret'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
            cand set 'Put in or replace a secret, from stdin or a prompt'
            cand remove 'Remove a secret'
            cand list 'Which secrets are stored'
        }
        &'elevate;admin;secret;set'= {
            cand --seal-to 'Seal it under this security key; may be given several times'
            cand --backup 'Also seal it to this age recipient, whose other half is kept offline'
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;admin;secret;remove'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;admin;secret;list'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;admin;user'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
            cand list 'Who has asked'
            cand disable 'Shut out; grants end at once'
            cand enable 'Let in again'
        }
        &'elevate;admin;user;list'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;admin;user;disable'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;admin;user;enable'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;admin;grant'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
            cand list 'Grants that stand'
            cand revoke 'End one'
        }
        &'elevate;admin;grant;list'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;admin;grant;revoke'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;admin;keys'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
            cand list 'The keys there are'
            cand rotate 'Sign with a new one; old tokens stay good to their end'
        }
        &'elevate;admin;keys;list'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;admin;keys;rotate'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;reap-expired-grants'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;drive-security-key'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'elevate;demo-call'= {
            cand --json 'One JSON object on stdout, errors as one on stderr'
            cand -n 'Never prompt, never wait for a touch'
            cand --non-interactive 'Never prompt, never wait for a touch'
            cand -A 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it'
            cand --debug 'Say on stderr what is done'
            cand -h 'Print help'
            cand --help 'Print help'
        }
    ]
    $completions[$command]
}
