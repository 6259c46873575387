"""The picture of latencies: well-formed, everything named, slower to the right."""

from xml.etree import ElementTree as ET

from bench.harness import PERCENTILES

from bench import plot

SVG = "{http://www.w3.org/2000/svg}"


def drawn(curves):
    return ET.fromstring(plot.picture(curves, "Look-up & more"))


def flat(microseconds):
    return [microseconds] * len(PERCENTILES)


def test_every_curve_is_drawn_and_named_and_so_are_the_axes():
    picture = drawn({"ours": flat(2.0), "a <peer>": flat(150.0)})
    said = [text.text for text in picture.iter(f"{SVG}text")]
    assert {"Look-up & more", "ours", "a <peer>", "calls answered", "100 %"} <= set(said)
    assert {"1 µs", "1 ms", "time of a call (logarithmic)"} <= set(said)
    assert len(list(picture.iter(f"{SVG}polyline"))) == 2


def test_slower_is_further_to_the_right_and_all_is_inside():
    picture = drawn({"ours": flat(2.0), "peer": flat(150.0)})
    fast, slow = [line.get("points").split() for line in picture.iter(f"{SVG}polyline")]
    assert float(fast[0].split(",")[0]) < float(slow[0].split(",")[0]) < plot.WIDTH
    heights = [float(point.split(",")[1]) for point in fast]
    assert heights == sorted(heights, reverse=True)
    assert plot.TOP <= heights[-1] < heights[0] <= plot.HEIGHT - plot.BOTTOM


def test_dark_pages_are_thought_of():
    assert "prefers-color-scheme: dark" in plot.picture({"ours": flat(2.0)}, "t")


def test_without_curves_there_is_no_picture(tmp_path):
    plot.write(tmp_path / "none.svg", {}, "t")
    assert not list(tmp_path.iterdir())
