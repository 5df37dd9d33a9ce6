"""`earshot study webmushra`: a study as a file of webMUSHRA's. The other way: `earshot study new NAME --from THEIRS.yaml`."""

from pathlib import Path
from typing import Annotated

import typer

from separation.cli.shared import talk
from separation.cli.study import Name, folder_of, study_app
from separation.errors import StudyError


@study_app.command()
def webmushra(
    study: Name,
    output: Annotated[Path | None, typer.Option(help="The file to write; none: the terminal.")] = None,
) -> None:
    """Write a study as webMUSHRA's YAML; what is lost in it is said on top of the file."""
    from separation.listening.prepared import STUDY_FILE
    from separation.listening.study import read_study
    from separation.listening.webmushra import to_webmushra

    text = to_webmushra(read_study(folder_of(study) / STUDY_FILE))
    if output is None:
        print(text, end="")
        return
    if output.exists():
        raise StudyError(f"Write {output}", "there is such a file already", "Choose another name, or delete it")
    output.write_text(text, encoding="utf-8")
    talk.print(f"{output}; its paths are those of the study's file", soft_wrap=True, markup=False)
