//! The work of the operator's command, over any table and any keys.

pub mod fingerprint;
pub mod pace;
pub mod reseal;
pub mod run;
pub mod survey;
pub mod tally;
pub mod walking;
pub mod wrapping;
