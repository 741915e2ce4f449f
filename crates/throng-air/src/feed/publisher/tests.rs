//! What a consumer is told next, by cases.

use throng_core::window::Packaged;

use super::*;

fn part(index: u64) -> Arc<Part> {
    let silent = Packaged {
        cmaf: Bytes::new(),
        stream: Bytes::new(),
    };
    Arc::new(Part {
        index: PartIndex(index),
        renditions: std::array::from_fn(|_| silent.clone()),
    })
}

fn window(first: u64, next: u64) -> Window {
    let mut window = Window::new(PartIndex(first));
    for index in first..next {
        window.push(part(index)).unwrap();
    }
    window
}

fn told(step: Step) -> Vec<u64> {
    match step {
        Step::Parts(parts) => parts.iter().map(|part| part.index.0).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_consumer_gets_only_what_it_lacks() {
    let mut window = window(100, 110);
    let at = |cursor| Some(PartIndex(cursor));
    assert_eq!(told(step(&window, at(107), true)), [107, 108, 109]);
    assert_eq!(step(&window, at(110), true), Step::Nothing);
    window.push_stand_in(part(110)).unwrap();
    assert_eq!(
        step(&window, at(110), true),
        Step::Nothing,
        "a stand-in is not told"
    );
    let restart = Step::Restart {
        first: PartIndex(100),
        next: PartIndex(110),
    };
    assert_eq!(step(&window, None, true), restart);
    assert_eq!(
        step(&window, at(99), true),
        restart,
        "a gap that nobody can fill"
    );
    assert_eq!(
        step(&window, at(200), true),
        restart,
        "parts that we do not know"
    );
    assert_eq!(
        step(&window, None, false),
        Step::Nothing,
        "the window is old"
    );
    window.finish();
    assert_eq!(told(step(&window, at(109), true)), [109]);
    assert_eq!(step(&window, at(110), true), Step::Finish);
    assert_eq!(
        step(&window, None, true),
        Step::Nothing,
        "it was over before"
    );
}
