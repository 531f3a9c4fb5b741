//! Which vector instructions this process uses: the widest that the machine has, or those that `EXECLAYER_SIMD` names.
//!
//! Chosen once, at the first use. All choices give the same bytes: this is about speed alone, and for tests.

use std::str::FromStr;
use std::sync::OnceLock;

/// The environment variable that forces a choice.
pub const SIMD_VARIABLE: &str = "EXECLAYER_SIMD";

/// A set of vector instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Simd {
    /// None: the portable code.
    Scalar,
    /// 256 bits, x86-64.
    Avx2,
    /// 512 bits with byte and word arithmetic (F and BW), x86-64.
    Avx512,
    /// 128 bits, aarch64.
    Neon,
}

/// Why a forced choice cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimdError {
    /// No such choice.
    #[error("{SIMD_VARIABLE}={0:?} is unknown: use scalar, avx2, avx512 or neon")]
    Unknown(String),
    /// This machine does not have it.
    #[error("{SIMD_VARIABLE}={}: this machine does not have these instructions", .0.name())]
    Unavailable(Simd),
}

impl Simd {
    /// All of them, the widest first.
    pub const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Scalar];

    /// How `EXECLAYER_SIMD` calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Neon => "neon",
        }
    }

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw"),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            #[allow(unreachable_patterns, reason = "what is left depends on the architecture")]
            _ => false,
        }
    }

    /// The widest that this machine has.
    pub fn widest() -> Self {
        Self::ALL.into_iter().find(|simd| simd.is_available()).expect("portable code is always available")
    }

    /// The choice for a value of `EXECLAYER_SIMD`; unset or empty: the widest.
    ///
    /// # Errors
    /// [`SimdError`] where the value is unknown, or names what this machine does not have.
    pub fn choose(value: Option<&str>) -> Result<Self, SimdError> {
        let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(Self::widest()) };
        let simd: Self = value.parse()?;
        if simd.is_available() { Ok(simd) } else { Err(SimdError::Unavailable(simd)) }
    }

    /// What the environment asks for; a program calls this at its start to report a bad value.
    ///
    /// # Errors
    /// As [`Simd::choose`].
    pub fn from_environment() -> Result<Self, SimdError> {
        let value = std::env::var_os(SIMD_VARIABLE);
        Self::choose(value.as_ref().map(|value| value.to_string_lossy()).as_deref())
    }

    /// What this process uses. A bad `EXECLAYER_SIMD` never stops a computation: the widest is used instead.
    pub fn chosen() -> Self {
        static CHOSEN: OnceLock<Simd> = OnceLock::new();
        *CHOSEN.get_or_init(|| Self::from_environment().unwrap_or_else(|_| Self::widest()))
    }
}

impl FromStr for Simd {
    type Err = SimdError;

    fn from_str(name: &str) -> Result<Self, SimdError> {
        Self::ALL.into_iter().find(|simd| simd.name() == name).ok_or_else(|| SimdError::Unknown(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_refused() {
        for simd in Simd::ALL {
            assert_eq!(simd.name().parse(), Ok(simd));
            let expected = if simd.is_available() { Ok(simd) } else { Err(SimdError::Unavailable(simd)) };
            assert_eq!(Simd::choose(Some(simd.name())), expected);
        }
        let error = Simd::choose(Some("AVX9")).unwrap_err();
        assert_eq!(error.to_string(), "EXECLAYER_SIMD=\"AVX9\" is unknown: use scalar, avx2, avx512 or neon");
    }

    #[test]
    fn nothing_asked_is_the_widest_that_is_there() {
        assert_eq!(Simd::choose(None), Ok(Simd::widest()));
        assert_eq!(Simd::choose(Some("")), Ok(Simd::widest()));
        assert!(Simd::chosen().is_available());
    }
}
