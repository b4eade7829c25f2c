//! What is answered to a question, as far as somebody who asks would notice.

use crate::authority::cases::Asked;
use crate::authority::elevation::ElevationId;
use crate::authority::policy::Policy;
use crate::authority::question::Question;
use crate::authority::rules::Rules;
use crate::clock::human;
use crate::protocol::assurance::Assurance;
use std::fmt;

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answer {
    /// At this rung, for this long.
    Permitted {
        /// The rung.
        assurance: Assurance,
        /// Seconds.
        ttl: u64,
        /// Who decided.
        policies: Vec<String>,
    },
    /// Not at all.
    Denied {
        /// Who forbade; empty where none permits.
        policies: Vec<String>,
        /// The sentence.
        cause: String,
    },
    /// There is no such resource.
    NotDeclared,
}

impl Answer {
    /// What these rules answer with this policy, their own or a part of it.
    #[must_use]
    pub fn of(asked: &Asked, rules: &Rules, policy: &Policy) -> Self {
        let known = asked.operation.is_some() || asked.undeclared.is_some();
        if !known && !rules.config.resources.contains_key(&asked.resource) {
            return Self::NotDeclared;
        }
        Self::to(&asked.question(&rules.config), policy)
    }

    /// What a policy answers, within what no policy can give.
    #[must_use]
    pub fn to(question: &Question, policy: &Policy) -> Self {
        match policy.decide(&ElevationId::fresh(), question) {
            Ok(it) if question.principal.workload.is_some() && it.assurance() > Assurance::Session => Self::Denied {
                policies: it.policies().to_vec(),
                cause: format!("a workload can't touch a key, and policy asks for {}", it.assurance()),
            },
            Ok(it) => Self::Permitted { assurance: it.assurance(), ttl: it.ttl(), policies: it.policies().to_vec() },
            Err(no) => Self::Denied { policies: no.policies, cause: no.cause },
        }
    }

    /// The same for everybody: sentences name resources.
    #[must_use]
    pub fn without_cause(mut self) -> Self {
        if let Self::Denied { cause, .. } = &mut self {
            cause.clear();
        }
        self
    }

    /// The policies that decided.
    #[must_use]
    pub fn policies(&self) -> &[String] {
        match self {
            Self::Permitted { policies, .. } | Self::Denied { policies, .. } => policies,
            Self::NotDeclared => &[],
        }
    }

    /// The rung and how much longer than nothing: what is less is easier to have.
    #[must_use]
    pub const fn effort(&self) -> (usize, u64) {
        match self {
            Self::Permitted { assurance, ttl, .. } => (*assurance as usize, u64::MAX - *ttl),
            Self::Denied { .. } | Self::NotDeclared => (Assurance::LADDER.len(), 0),
        }
    }

    /// Whether it is a yes, at some rung.
    #[must_use]
    pub const fn is_permitted(&self) -> bool {
        matches!(self, Self::Permitted { .. })
    }
}

/// As a table has it: rung and time.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permitted { assurance, ttl, .. } => write!(f, "{assurance} {}", human(*ttl)),
            Self::Denied { .. } => f.write_str("denied"),
            Self::NotDeclared => f.write_str("not declared"),
        }
    }
}
