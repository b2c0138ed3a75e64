"""The house only ever gets lighter."""

from weight import CEILINGS, CIRCLES, COMMAND, circles, weigh


def test_no_figure_is_above_its_ceiling() -> None:
    over = [
        f"{name}: {value:,}, at most {CEILINGS[name]:,}: delete; `{COMMAND}` shows all"
        for name, value in weigh().items()
        if value > CEILINGS[name]
    ]
    assert not over, "\n".join(over)


def test_no_circle_of_imports_is_new_or_grows() -> None:
    known = [set(names.split()) for names in CIRCLES]
    new = [circle for circle in circles() if not any(circle <= each for each in known)]
    assert not new, f"`{COMMAND}` shows all"
