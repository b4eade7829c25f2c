# elvish completion for elevate. Put into rc.elv: eval (elevate completion elvish | slurp)

use str

set edit:completion:arg-completer[elevate] = {|@words|
    if (has-value $words[..-1] --) {
        edit:complete-filename $@words
    } else {
        try {
            e:elevate complete-words (- (count $words) 1) -- $@words 2>/dev/null | each {|line|
                var value about = (str:split &max=2 "\t" $line)
                if (eq $about '') {
                    put $value
                } else {
                    edit:complex-candidate $value &display=$value'  '$about
                }
            }
        } catch error {
            nop $error
        }
    }
}
