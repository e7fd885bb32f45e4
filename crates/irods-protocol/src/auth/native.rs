//! Challenge and response of the native scheme.
//!
//! The response is MD5 of the challenge, padded to 64 bytes, and the password, padded to 50, with
//! each NUL byte of the hash made 0x01 (server source 4.2 to 5.0; checked against recorded log-ins
//! of a 5.0.90 server). Both texts end at their first NUL, as in C. Where challenges and
//! signatures are kept, and how often one may try, is the connection's business.

use super::{c_str, hex, md5_padded};
use crate::limits::{CHALLENGE_LEN, MAX_PASSWORD_LEN, RESPONSE_LEN};

/// What a client answers to a challenge. Of the password, the first 50 bytes count.
#[must_use]
pub fn response(challenge: &[u8], password: &str) -> [u8; RESPONSE_LEN] {
    let mut padded = [0_u8; CHALLENGE_LEN];
    for (to, from) in padded.iter_mut().zip(c_str(challenge)) {
        *to = *from;
    }
    let password = c_str(password.as_bytes());
    let mut digest = md5_padded(&[&padded, password], CHALLENGE_LEN + MAX_PASSWORD_LEN);
    for byte in &mut digest {
        if *byte == 0 {
            *byte = 1;
        }
    }
    digest
}

/// Whether a client's answer is right. Takes the same time wherever they differ.
#[must_use]
pub fn verify(challenge: &[u8], password: &str, answer: &[u8]) -> bool {
    let expected = response(challenge, password);
    let difference = expected
        .iter()
        .zip(answer)
        .fold(0, |sum, (a, b)| sum | (a ^ b));
    answer.len() == expected.len() && difference == 0
}

/// The signature of a connection that logged in by a challenge: its first 16 bytes in hexadecimal.
/// New passwords are scrambled with it.
#[must_use]
pub fn session_signature(challenge: &[u8]) -> String {
    let mut head = [0_u8; 16];
    for (to, from) in head.iter_mut().zip(challenge) {
        *to = *from;
    }
    hex(&head)
}

/// A challenge made of 32 random bytes: 64 lower-case hexadecimal digits, as real servers send it,
/// so that it survives every packing.
#[must_use]
pub fn challenge(random: [u8; 32]) -> String {
    hex(&random)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn answers_as_the_recorded_clients_did() {
        // Recorded exchanges prc_connect_auth_disconnect and prc_connect_legacy_native.
        for (challenge, answer) in [
            (
                "9b87bd720b7d4897dd19257fb0fac8787f8c22b1f6eba84a30d93e1152c111d5",
                "GJesLqzALZmAw5NGpWhJgw==",
            ),
            (
                "fd0a18b18cc3c35cb1706de89234c8f44bc561360878acee766cee580d9943db",
                "KL0ceRZexm8HAQTMT/Ep/g==",
            ),
        ] {
            let answer = STANDARD.decode(answer).unwrap();
            assert_eq!(response(challenge.as_bytes(), "rods").as_slice(), answer);
            assert!(verify(challenge.as_bytes(), "rods", &answer));
            assert!(!verify(challenge.as_bytes(), "rod", &answer));
            assert!(!verify(
                challenge.as_bytes(),
                "rods",
                answer.get(..15).unwrap()
            ));
            assert!(!verify(challenge.as_bytes(), "rods", &[]));
        }
    }

    #[test]
    fn no_nul_byte_leaves() {
        for tries in 0..2000 {
            assert!(!response(format!("{tries}").as_bytes(), "rods").contains(&0));
        }
    }

    #[test]
    fn texts_end_at_nul_and_at_their_limits() {
        let long = "p".repeat(60);
        assert_eq!(response(b"c", &long), response(b"c", &long[..50]));
        assert_ne!(response(b"c", &long[..50]), response(b"c", &long[..49]));
        assert_eq!(response(b"c\0x", "p\0y"), response(b"c", "p"));
        assert_eq!(response(&[b'c'; 80], "p"), response(&[b'c'; 64], "p"));
    }

    #[test]
    fn signature_is_of_the_first_16_bytes() {
        assert_eq!(
            session_signature(b"0123456789abcdefXYZ"),
            "30313233343536373839616263646566"
        );
        assert_eq!(session_signature(b""), "0".repeat(32));
        assert_eq!(challenge([0xab; 32]), "ab".repeat(32));
    }
}
