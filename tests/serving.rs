/// Slow, giant and many: one caller's flood is nobody else's.
mod attacks;
/// It ends without losing a request.
mod ending;
/// A company's authority, and whoever calls it.
pub mod harness;
/// What a proxy may say.
mod proxies;
/// The runbook and the units.
mod runbook;
/// The system authority: another account, and a socket that was handed over.
mod system;
/// Certificates and protocol versions.
mod tls;
/// Health, metrics, logs.
mod watching;
