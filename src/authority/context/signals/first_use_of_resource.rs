//! This user never had a grant for the resource.

use super::Kind;

pub(super) const KIND: Kind = Kind {
    name: "first_use_of_resource",
    meaning: "this user never had a grant for the resource",
    from: "the grants",
    sentence: "you have not used this resource before",
    seen: |facts| (!facts.used_before).then(|| KIND.sentence.to_owned()),
};
