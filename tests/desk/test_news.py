"""What changed is remembered within bounds; who is told nothing of it loads all anew."""

from utils.desk import news


def test_only_some_visits_are_remembered(monkeypatch):
    monkeypatch.setattr(news, "MOST_VISITS", 3)
    told = news.News()
    old = told.tell("0", 1)
    for visit in "1234":
        told.tell(visit, 1)
    assert len(told._of) == 3
    assert told.after("4", 0).images == [1]
    assert told.after("0", old - 1).lost
