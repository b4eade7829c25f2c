
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'elevate' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'elevate'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'elevate' {
            [CompletionResult]::new('--ttl', '--ttl', [CompletionResultType]::ParameterName, 'Longest time wanted: 45s, 15m, 1h30m')
            [CompletionResult]::new('--min-ttl', '--min-ttl', [CompletionResultType]::ParameterName, 'Least time a grant that is already held must still last')
            [CompletionResult]::new('--scope', '--scope', [CompletionResultType]::ParameterName, 'Scope wanted, as words')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why; shown before the touch and kept in the log')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('--once', '--once', [CompletionResultType]::ParameterName, 'Revoke when the command ends')
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'Ignore the grants held and leave them as they are; alone: drop them')
            [CompletionResult]::new('-K', '-K ', [CompletionResultType]::ParameterName, 'Revoke everything this device holds; the local copies go first')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Renew to the full time')
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'The same as `elevate list`')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('run', 'run', [CompletionResultType]::ParameterValue, 'Run a command with a credential')
            [CompletionResult]::new('token', 'token', [CompletionResultType]::ParameterValue, 'Print a token')
            [CompletionResult]::new('env', 'env', [CompletionResultType]::ParameterValue, 'Print the credential as exports for a POSIX shell')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'What you may elevate to, and what it takes')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'What you hold now')
            [CompletionResult]::new('drop', 'drop', [CompletionResultType]::ParameterValue, 'End grants: the local copies first, then at the authority')
            [CompletionResult]::new('key', 'key', [CompletionResultType]::ParameterValue, 'Your security keys')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'What would happen, and why')
            [CompletionResult]::new('audit', 'audit', [CompletionResultType]::ParameterValue, 'The log')
            [CompletionResult]::new('init', 'init', [CompletionResultType]::ParameterValue, 'Set up an authority for this account on this machine')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'What keeps elevation from working here, and what to do about it')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'See all of it work, in a temporary directory')
            [CompletionResult]::new('admin', 'admin', [CompletionResultType]::ParameterValue, 'Change the authority: each change is an elevation of its own')
            [CompletionResult]::new('reap-expired-grants', 'reap-expired-grants', [CompletionResultType]::ParameterValue, 'Removes expired grants until none is left')
            [CompletionResult]::new('drive-security-key', 'drive-security-key', [CompletionResultType]::ParameterValue, 'Drives one security key, for the process that started it')
            [CompletionResult]::new('demo-call', 'demo-call', [CompletionResultType]::ParameterValue, 'Calls the demo''s service')
            break
        }
        'elevate;run' {
            [CompletionResult]::new('--ttl', '--ttl', [CompletionResultType]::ParameterName, 'Longest time wanted: 45s, 15m, 1h30m')
            [CompletionResult]::new('--min-ttl', '--min-ttl', [CompletionResultType]::ParameterName, 'Least time a grant that is already held must still last')
            [CompletionResult]::new('--scope', '--scope', [CompletionResultType]::ParameterName, 'Scope wanted, as words')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why; shown before the touch and kept in the log')
            [CompletionResult]::new('--once', '--once', [CompletionResultType]::ParameterName, 'Revoke when the command ends')
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'Ignore the grants held and leave them as they are; alone: drop them')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;token' {
            [CompletionResult]::new('--ttl', '--ttl', [CompletionResultType]::ParameterName, 'Longest time wanted: 45s, 15m, 1h30m')
            [CompletionResult]::new('--min-ttl', '--min-ttl', [CompletionResultType]::ParameterName, 'Least time a grant that is already held must still last')
            [CompletionResult]::new('--scope', '--scope', [CompletionResultType]::ParameterName, 'Scope wanted, as words')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why; shown before the touch and kept in the log')
            [CompletionResult]::new('--once', '--once', [CompletionResultType]::ParameterName, 'Revoke when the command ends')
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'Ignore the grants held and leave them as they are; alone: drop them')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;env' {
            [CompletionResult]::new('--ttl', '--ttl', [CompletionResultType]::ParameterName, 'Longest time wanted: 45s, 15m, 1h30m')
            [CompletionResult]::new('--min-ttl', '--min-ttl', [CompletionResultType]::ParameterName, 'Least time a grant that is already held must still last')
            [CompletionResult]::new('--scope', '--scope', [CompletionResultType]::ParameterName, 'Scope wanted, as words')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why; shown before the touch and kept in the log')
            [CompletionResult]::new('--once', '--once', [CompletionResultType]::ParameterName, 'Revoke when the command ends')
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'Ignore the grants held and leave them as they are; alone: drop them')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'elevate;list' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;status' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;drop' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;key' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('enroll', 'enroll', [CompletionResultType]::ParameterValue, 'Enrol a key')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'Your keys')
            [CompletionResult]::new('pin', 'pin', [CompletionResultType]::ParameterValue, 'Set the PIN of the key that is plugged in, or change it')
            [CompletionResult]::new('remove', 'remove', [CompletionResultType]::ParameterValue, 'Remove a key')
            break
        }
        'elevate;key;enroll' {
            [CompletionResult]::new('--software', '--software', [CompletionResultType]::ParameterName, 'Make a key that is a file')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;key;list' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;key;pin' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;key;remove' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;explain' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;audit' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Check every entry against what was signed; name what is wrong')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show the entries')
            break
        }
        'elevate;audit;verify' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;audit;show' {
            [CompletionResult]::new('--last', '--last', [CompletionResultType]::ParameterName, 'Only the last N')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;init' {
            [CompletionResult]::new('--software-key', '--software-key', [CompletionResultType]::ParameterName, 'Also enrol a key that is a file, of this name')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;doctor' {
            [CompletionResult]::new('--udev-rule', '--udev-rule', [CompletionResultType]::ParameterName, 'Print the udev rule that lets you open security keys, and nothing else')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;demo' {
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Approve unattended')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;admin' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('secret', 'secret', [CompletionResultType]::ParameterValue, 'Stored passwords and API keys')
            [CompletionResult]::new('user', 'user', [CompletionResultType]::ParameterValue, 'Users')
            [CompletionResult]::new('grant', 'grant', [CompletionResultType]::ParameterValue, 'Everybody''s grants')
            [CompletionResult]::new('keys', 'keys', [CompletionResultType]::ParameterValue, 'The keys that sign tokens')
            break
        }
        'elevate;admin;secret' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('set', 'set', [CompletionResultType]::ParameterValue, 'Put in or replace a secret, from stdin or a prompt')
            [CompletionResult]::new('remove', 'remove', [CompletionResultType]::ParameterValue, 'Remove a secret')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'Which secrets are stored')
            break
        }
        'elevate;admin;secret;set' {
            [CompletionResult]::new('--seal-to', '--seal-to', [CompletionResultType]::ParameterName, 'Seal it under this security key; may be given several times')
            [CompletionResult]::new('--backup', '--backup', [CompletionResultType]::ParameterName, 'Also seal it to this age recipient, whose other half is kept offline')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;admin;secret;remove' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;admin;secret;list' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;admin;user' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'Who has asked')
            [CompletionResult]::new('disable', 'disable', [CompletionResultType]::ParameterValue, 'Shut out; grants end at once')
            [CompletionResult]::new('enable', 'enable', [CompletionResultType]::ParameterValue, 'Let in again')
            break
        }
        'elevate;admin;user;list' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;admin;user;disable' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;admin;user;enable' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;admin;grant' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'Grants that stand')
            [CompletionResult]::new('revoke', 'revoke', [CompletionResultType]::ParameterValue, 'End one')
            break
        }
        'elevate;admin;grant;list' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;admin;grant;revoke' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;admin;keys' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'The keys there are')
            [CompletionResult]::new('rotate', 'rotate', [CompletionResultType]::ParameterValue, 'Sign with a new one; old tokens stay good to their end')
            break
        }
        'elevate;admin;keys;list' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;admin;keys;rotate' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;reap-expired-grants' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;drive-security-key' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'elevate;demo-call' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'One JSON object on stdout, errors as one on stderr')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('--non-interactive', '--non-interactive', [CompletionResultType]::ParameterName, 'Never prompt, never wait for a touch')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Ask the program in ELEVATE_ASKPASS for the PIN; -n wins over it')
            [CompletionResult]::new('--debug', '--debug', [CompletionResultType]::ParameterName, 'Say on stderr what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
