//! Something that is configured can't answer, and what it would have said is not known.

use super::Kind;

pub(super) const KIND: Kind = Kind {
    name: "lost_source",
    meaning: "a file that [risk] names can't answer: it is missing, can't be read, is damaged or too old; those of addresses \
              matter to nobody on a socket",
    from: "country_file, asn_file and on_call_file",
    sentence: "what is known of your request could not be looked up",
    seen: |facts| {
        let lost: Vec<String> = facts.lost.iter().map(ToString::to_string).collect();
        (!lost.is_empty()).then(|| format!("not everything could be looked up: {}", lost.join(", ")))
    },
};
