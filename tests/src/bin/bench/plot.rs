//! A plot of nanoseconds by flows, as SVG.

use std::fmt::Write as _;

/// One place on the x axis: how many flows, our nanoseconds and the floor's.
pub(crate) type Point = (u32, f64, f64);

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 120.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 48.0;

/// Flows on x, in powers of ten; nanoseconds on y, from zero.
pub(crate) fn svg(title: &str, points: &[Point]) -> String {
    let most = points.iter().map(|point| point.1.max(point.2));
    let step = step(most.fold(1.0, f64::max));
    let top = (points.iter().map(|point| point.1.max(point.2)))
        .fold(step, |top, ns| top.max((ns / step).ceil() * step));
    let decades = points.iter().map(|point| f64::from(point.0).log10());
    let decades = decades.fold(1.0, f64::max);
    let x = |flows: u32| LEFT + f64::from(flows).log10() / decades * (WIDTH - LEFT - RIGHT);
    let y = |ns: f64| HEIGHT - BOTTOM - ns / top * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{title}</text>\n\
         <text x=\"{LEFT}\" y=\"{:.0}\">flows</text>\n\
         <text x=\"8\" y=\"{:.0}\">ns</text>\n",
        HEIGHT - 8.0,
        TOP - 6.0
    );
    for n in 0..=(top / step) as u32 {
        let ns = f64::from(n) * step;
        let (at, right) = (y(ns), WIDTH - RIGHT);
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{ns}</text>",
            LEFT - 6.0,
            at + 4.0
        );
    }
    for (flows, ..) in points {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
            x(*flows),
            HEIGHT - BOTTOM + 18.0,
            short(*flows)
        );
    }
    let ours: Vec<_> = points
        .iter()
        .map(|point| (x(point.0), y(point.1)))
        .collect();
    let floor: Vec<_> = points
        .iter()
        .map(|point| (x(point.0), y(point.2)))
        .collect();
    curve(&mut svg, "balance", "#1f5fbf", &ours);
    curve(&mut svg, "floor", "#777", &floor);
    svg.push_str("</svg>\n");
    svg
}

fn curve(svg: &mut String, name: &str, colour: &str, places: &[(f64, f64)]) {
    let path: Vec<_> = (places.iter().map(|(x, y)| format!("{x:.1},{y:.1}"))).collect();
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
        path.join(" ")
    );
    for (x, y) in places {
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
        );
    }
    if let Some((x, y)) = places.last() {
        let (x, y) = (x + 10.0, y + 4.0);
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{colour}\">{name}</text>"
        );
    }
}

/// Nanoseconds between lines.
fn step(most: f64) -> f64 {
    let steps = [5.0, 10.0, 20.0, 25.0, 50.0, 100.0];
    (steps.into_iter().find(|step| most / step <= 8.0)).unwrap_or(200.0)
}

fn short(flows: u32) -> String {
    match flows {
        1_000_000.. => format!("{} M", flows / 1_000_000),
        1_000.. => format!("{} k", flows / 1_000),
        few => few.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_in_the_picture() {
        let points = [
            (1, 40.0, 20.0),
            (1_000, 42.0, 20.5),
            (1_000_000, 55.0, 21.0),
        ];
        let svg = svg("v4_tcp", &points);
        assert_eq!(svg.matches("<circle").count(), 6);
        assert_eq!(svg.matches("<polyline").count(), 2);
        for label in [">1<", ">1 k<", ">1 M<", ">60<", ">balance<", ">floor<"] {
            assert!(svg.contains(label), "{label} in {svg}");
        }
        let numbers = svg.split("cy=\"").skip(1);
        let inside = |at: &str| {
            let y: f64 = at.split('"').next().unwrap().parse().unwrap();
            (TOP..=HEIGHT - BOTTOM).contains(&y)
        };
        assert!(numbers.into_iter().all(inside), "{svg}");
    }
}
