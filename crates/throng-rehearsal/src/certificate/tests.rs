//! Certificates that hold, and all the ways in which they do not.

use super::*;

pub(crate) fn certificate() -> Certificate {
    Certificate {
        format: FORMAT.to_owned(),
        issued_at: "2026-12-01T20:00:00.000Z".to_owned(),
        run: Run {
            target: "127.0.0.1:8080".to_owned(),
            same_machine: true,
            listeners: 15_000,
            arrive: "vertical".to_owned(),
            stay_seconds: 60,
            leave: "vertical".to_owned(),
            via: "progressive=1".to_owned(),
            misbehaving: 0,
            tls: false,
            places: vec!["here".to_owned()],
        },
        host: Host {
            cpu: "A \"processor\"".to_owned(),
            cores: 8,
            memory_bytes: 32 << 30,
            kernel: "6.18".to_owned(),
        },
        server: Identity::default(),
        version: "0.1.0".to_owned(),
        shown: Shown {
            joined: 15_000,
            held_peak: 15_000,
            joins_per_second_peak: 9_000,
            delivered_audio_seconds: 900_000,
            delivered_bytes: 900_000 * 6_250,
            server_cpu_ms: Some(5_400),
            ..Shown::default()
        },
        limit: Limit::None,
        slots: 15_000,
        curve: vec![Second {
            at_ms: 1_500,
            listening: 15_000,
            ..Second::default()
        }],
    }
}

const SECRET: [u8; 32] = [7; 32];

#[test]
fn a_signed_certificate_holds_and_another_key_is_not_the_trusted_one() {
    let file = certificate().sign(&SECRET);
    let key = STANDARD.encode(SigningKey::from_bytes(&SECRET).verifying_key().as_bytes());
    let found = verify(&file, Some(&key));
    assert!(found.valid, "{:?}", found.checks);
    assert_eq!(found.certificate, Some(certificate()));
    let names: Vec<_> = found.checks.iter().map(|check| check.name).collect();
    assert_eq!(names, ["format", "signature", "key", "figures"]);
    let other = STANDARD.encode([1_u8; 32]);
    assert!(!verify(&file, Some(&other)).valid);
}

#[test]
fn every_change_of_a_figure_breaks_the_signature() {
    let file: Value = serde_json::from_str(&certificate().sign(&SECRET)).unwrap();
    let mut pointers = Vec::new();
    leaves(&file["certificate"], "/certificate", &mut pointers);
    assert!(pointers.len() > 40);
    for pointer in pointers {
        let mut changed = file.clone();
        let leaf = changed.pointer_mut(&pointer).unwrap();
        *leaf = match leaf {
            Value::Number(_) => Value::from(leaf.as_u64().unwrap() + 1),
            Value::String(text) => Value::from(format!("{text}x")),
            _ => Value::from(3),
        };
        assert!(!verify(&changed.to_string(), None).valid, "{pointer}");
    }
    let mut more = file.clone();
    more["certificate"]["slots_more"] = Value::from(1);
    assert!(!verify(&more.to_string(), None).valid);
}

fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                leaves(member, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                leaves(item, &format!("{at}/{place}"), found);
            }
        }
        _ => found.push(at.to_owned()),
    }
}

#[test]
fn layout_and_order_of_members_do_not_matter() {
    let file: Value = serde_json::from_str(&certificate().sign(&SECRET)).unwrap();
    assert!(verify(&file.to_string(), None).valid);
}

#[test]
fn a_signature_does_not_make_contradicting_figures_valid() {
    let mut generous = certificate();
    generous.limit = Limit::Client;
    let found = verify(&generous.sign(&SECRET), None);
    assert!(!found.valid && found.checks[1].ok, "{:?}", found.checks);
    let mut generous = certificate();
    generous.slots = 15_001;
    assert!(!verify(&generous.sign(&SECRET), None).valid);
}

#[test]
fn canonical_form_is_that_of_rfc_8785() {
    let value: Value =
        serde_json::from_str("{\"b\": [1, true, null], \"a\\n\": \"\\u001f\\u00e9/\\\"\"}")
            .unwrap();
    let mut text = String::new();
    canonical(&value, &mut text).unwrap();
    assert_eq!(
        text,
        "{\"a\\n\":\"\\u001f\u{e9}/\\\"\",\"b\":[1,true,null]}"
    );
    assert_eq!(canonical(&Value::from(0.5), &mut text), None);
    assert_eq!(canonical(&Value::from(1_u64 << 53), &mut text), None);
}

#[test]
fn what_is_no_certificate_says_so() {
    for text in ["", "{}", "[]", "{\"certificate\":{},\"signature\":{}}"] {
        let found = verify(text, None);
        assert!(!found.valid && !found.checks[0].ok, "{text}");
    }
}
