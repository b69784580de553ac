"""What went wrong outside this program, or in it, as one sentence for the person at the screen."""

from __future__ import annotations

import errno
import sys

from napari_ies.errors import NapariIESError
from napari_ies.printable import printable

_LONGEST_CAUSE = 500
"""Characters of another program's words that are passed on."""

_BY_NUMBER = {
    errno.ENOSPC: "the disk is full; free some of it, or choose another folder",
    errno.EDQUOT: "your share of the disk is used up; free some of it, or choose another folder",
    errno.EACCES: "you may not open or write it; choose another place, or ask for the right to",
    errno.EPERM: "you may not open or write it; choose another place, or ask for the right to",
    errno.EROFS: "it lies on a disk that cannot be written to; choose another folder",
    errno.ENAMETOOLONG: "the name is longer than the disk allows; choose a shorter one",
    errno.EIO: "the disk or network failed; try again, and check the disk",
    errno.EMFILE: "too many files are open; close other programs",
}


def sentence_of(error: BaseException) -> str:
    """Say what went wrong.

    Parameters
    ----------
    error
        Whatever reached the command's end.

    Returns
    -------
    One sentence: the error's own if it is this package's; what the system says where it is the
    system's; otherwise that there is a defect, and what to do about it.
    """
    if isinstance(error, NapariIESError):
        return str(error)
    if _is_out_of_memory(error):
        return "There is not enough memory; close other programs, or choose less to compute."
    if isinstance(error, OSError) and error.strerror:
        return _of_system(error)
    if isinstance(error, RecursionError):
        return "A file is nested deeper than anything that people write; check the files given."
    if isinstance(error, UnicodeError):
        return (
            f"A name or text holds characters that cannot be written or read ({_cause(error)}); "
            "rename the file, or save it as UTF-8."
        )
    if isinstance(error, RuntimeError) and "home directory" in str(error):
        return "A path begins with ~ and a name of whom no home is known; write it in full."
    return (
        f"napari-ies met an error that it does not know ({type(error).__name__}: {_cause(error)}); "
        "nothing was written half, so run it again with --debug and send the text to the "
        "developers."
    )


def _of_system(error: OSError) -> str:
    named = next((str(one) for one in (error.filename, error.filename2) if one), "A file")
    said = str(error.strerror)
    why = _BY_NUMBER.get(error.errno or 0)
    if why is None:
        return printable(f"{named} cannot be opened or written ({said}); check path and disk.")
    return printable(f"{named} cannot be opened or written ({said}): {why}.")


def _cause(error: BaseException) -> str:
    return " ".join(printable(str(error), _LONGEST_CAUSE).split()) or "no reason given"


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if "torch" not in sys.modules:
        return False
    from napari_ies.free_memory import is_out_of_memory

    return is_out_of_memory(error)
