//! Frames: what is sealed is opened, under its key and whole, and nothing else is.
use crate::envelope::*;
use crate::{ids::SessionId, key::SessionKeys};
use proptest::prelude::*;

fn key() -> Key {
    SessionKeys::new(SessionId::parse("s").unwrap()).manifest()
}

proptest! {
    #[test]
    fn what_is_sealed_is_opened(body in proptest::collection::vec(any::<u8>(), 0..4000), rest in proptest::collection::vec(any::<u8>(), 0..50)) {
        let mut object = seal(Kind::Blob, &key(), &body).to_vec();
        object.extend_from_slice(&rest);
        let (back, after) = open(Kind::Blob, &key(), &object.into()).unwrap();
        prop_assert_eq!(back, body);
        prop_assert_eq!(after, rest);
    }

    #[test]
    fn repetitive_bodies_shrink(byte in any::<u8>(), n in 1000usize..100_000) {
        prop_assert!(seal(Kind::Blob, &key(), &vec![byte; n]).len() < n / 2);
    }

    #[test]
    fn what_shrinks_too_far_is_filled_up(byte in any::<u8>(), n in 1usize << 16..9 << 20) {
        let (body, slack, growth) = (vec![byte; n], SLACK as usize, GROWTH as usize);
        let sealed = seal(Kind::Blob, &key(), &body);
        let stored = sealed.len() - HEADER;
        prop_assert!(stored * growth + slack >= n && stored < n / growth + 1_000);
        prop_assert_eq!(open(Kind::Blob, &key(), &sealed).unwrap().0, body);
    }

    #[test]
    fn one_flipped_bit_is_damage_or_a_newer_version(body in proptest::collection::vec(any::<u8>(), 0..900), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut object = seal(Kind::Ledger, &key(), &body).to_vec();
        let at = at.index(object.len());
        object[at] ^= 1 << bit;
        let outcome = open(Kind::Ledger, &key(), &object.into());
        let refused = matches!(outcome, Err(Error::Damaged { .. } | Error::Version { .. }));
        prop_assert!(refused);
    }

    #[test]
    fn a_cut_object_is_damage(body in proptest::collection::vec(any::<u8>(), 0..900), keep in any::<prop::sample::Index>()) {
        let object = seal(Kind::Ledger, &key(), &body);
        let cut = object.slice(..keep.index(object.len()));
        let damaged = matches!(open(Kind::Ledger, &key(), &cut), Err(Error::Damaged { .. }));
        prop_assert!(damaged);
    }

    #[test]
    fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(open(Kind::Ledger, &key(), &noise.into()).is_err());
    }
}

#[test]
fn a_large_body_is_compressed_where_parts_of_it_shrink() {
    let mut noise = vec![0; 1 << 20];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    assert_eq!(seal(Kind::Blob, &key(), &noise).len(), HEADER + noise.len());
    noise[400_000..].fill(7);
    assert!(seal(Kind::Blob, &key(), &noise).len() < 420_000);
}

#[test]
fn what_stays_on_a_machine_is_compressed_where_half_of_it_goes() {
    let mut body = vec![0; 40_000];
    blake3::Hasher::new().finalize_xof().fill(&mut body);
    let sealed = |body: &[u8], worth| {
        let sealed =
            Unsealed::new(Kind::Blob, body).seal_and_keep(&key(), &Spare::default(), worth);
        assert_eq!(open(Kind::Blob, &key(), &sealed).unwrap().0, body);
        sealed.len()
    };
    body.chunks_mut(10).for_each(|ten| ten[..4].fill(0));
    assert!(sealed(&body, Worth::Tenth) < 30_000);
    assert_eq!(sealed(&body, Worth::Half), HEADER + body.len());
    body.chunks_mut(10).for_each(|ten| ten[..8].fill(0));
    assert!(sealed(&body, Worth::Half) < 20_000);
}

#[test]
fn a_chunk_that_does_not_shrink_is_bound_to_its_hash() {
    let mut noise = vec![0; 10_000];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    let mut chunk = Unsealed::new(Kind::Blob, &noise);
    assert_eq!(chunk.name(), BlobHash::of(&noise));
    let sealed = chunk.seal(&key());
    assert_eq!(sealed[7], Codec::Hashed as u8);
    assert_eq!(open(Kind::Blob, &key(), &sealed).unwrap().0, noise);
    for at in [3, 9, 30, HEADER, sealed.len() - 1] {
        let mut damaged = sealed.to_vec();
        damaged[at] ^= 1;
        assert!(open(Kind::Blob, &key(), &damaged.into()).is_err(), "{at}");
    }
}

#[test]
fn a_newer_layout_says_so() {
    let mut object = seal(Kind::Manifest, &key(), b"x").to_vec();
    object[4] = 9;
    let err = open(Kind::Manifest, &key(), &object.into()).unwrap_err();
    assert_eq!(
        err.to_string(),
        "`sessions/s/manifest` was written by layout 9; this one reads layouts up to 2"
    );
}

#[test]
fn another_kind_of_object_is_refused() {
    let object = seal(Kind::Manifest, &key(), b"x");
    let err = open(Kind::Ledger, &key(), &object).unwrap_err();
    assert!(err.to_string().contains("another kind of object"), "{err}");
}
