//! tmp
#![allow(clippy::all, clippy::pedantic, clippy::print_stdout, clippy::unwrap_used, clippy::allow_attributes_without_reason)]
fn main() {
    let n: u32 = std::env::args().nth(1).unwrap().parse().unwrap();
    for path in std::env::args().skip(2) {
        let s: throng_sim::Scenario = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        if let Some(w) = s.fault_in_it() { panic!("{path}: {w}"); }
        let t = std::time::Instant::now();
        let mut o = throng_sim::run(&s, 1, n);
        let svg = throng_sim::plot::svg(&o);
        std::fs::write(format!("/tmp/sim-{}.svg", std::path::Path::new(&path).file_stem().unwrap().to_str().unwrap()), svg).unwrap();
        let beyond = o.beyond(&s.limits);
        let series = std::mem::take(&mut o.series);
        println!("{path} {:?}\n{o:?}\nBEYOND {beyond:?}", t.elapsed());
        let k = series.second.len() / 24;
        for i in (0..series.second.len()).step_by(k.max(1)) {
            println!("{:5} want {} places {} listen {} queued {} joins {} ref {} cpu {} rung {}", series.second[i], series.wanting[i], series.places[i], series.listening[i], series.queued[i], series.joins[i], series.refusals[i], series.cpu_percent[i], series.rung[i]);
        }
    }
}
