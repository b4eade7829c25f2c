# PowerShell completion for elevate. Put into $PROFILE: elevate completion powershell | Out-String | Invoke-Expression

Register-ArgumentCompleter -Native -CommandName elevate -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursorPosition -or
        $_.Extent.EndOffset -eq $cursorPosition } | ForEach-Object { $_.ToString() })
    $index = if ($wordToComplete) { $words.Count - 1 } else { $words.Count }
    elevate complete-words $index -- @words 2>$null | ForEach-Object {
        $value, $about = $_ -split "`t", 2
        $tip = if ($about) { $about } else { $value }
        $text = if ($value -match '[^A-Za-z0-9_./=-]') { "'" + ($value -replace "'", "''") + "'" } else { $value }
        [System.Management.Automation.CompletionResult]::new($text, $value, 'ParameterValue', $tip)
    }
}
