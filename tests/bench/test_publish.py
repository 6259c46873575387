"""What a run found, as the pages show it."""

from bench import publish


def goal(id, measured=1.0, *, counted=False, ok=True):
    return {"id": id, "what": f"what of {id}", "target": "<= 2", "measured": measured, "low": 0.5,
            "high": 2000.0, "ok": ok, "counted": counted}  # fmt: skip


def test_a_time_has_its_range_and_a_count_has_none():
    shown = publish.table([goal("G1@1"), goal("G13 open", 2.0, counted=True, ok=False)])
    assert "| what of G1@1 | <= 2 | 1.00 (0.50 to 2,000.00) | yes |" in shown
    assert "| what of G13 open | <= 2 | 2 | **no** |" in shown


def test_turns_have_a_row_for_each_system():
    fate = dict.fromkeys(("turns", "lost", "duplicates", "stale", "refused"), 0)
    shown = publish.turns([{"system": "ours", **fate, "turns": 20}])
    assert "| ours | 20 | 0 | 0 | 0 | 0 |" in shown


def test_the_front_page_shows_what_there_is_of_its_headlines(monkeypatch):
    found = {"goals": [goal("G1@1"), goal("G3@1"), goal("G2@1", ok=False)], "correctness": []}
    monkeypatch.setattr(publish, "_results", lambda: found)
    front = publish.latest(publish.README)
    assert "G3@1" not in front
    assert front.endswith("\nOf all 3 goals 2 were reached.\n")
    assert "G3@1" in publish.latest()
