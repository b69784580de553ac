"""A session: a case as far as it was read, in a folder that grows with every map and note."""

from napari_ies.results.session.document import is_session, read_summary
from napari_ies.results.session.opening import (
    find_images,
    load_session,
    load_session_progressively,
)
from napari_ies.results.session.place import (
    new_session_folder,
    next_session_folder,
    sessions_in,
    shows,
)
from napari_ies.results.session.record import SESSION_FILE, SessionSummary
from napari_ies.results.session.saved import SavedContext, SavedMap, Session
from napari_ies.results.session.writing import SessionGoneError, SessionWriter

__all__ = [
    "SESSION_FILE",
    "SavedContext",
    "SavedMap",
    "Session",
    "SessionGoneError",
    "SessionSummary",
    "SessionWriter",
    "find_images",
    "is_session",
    "load_session",
    "load_session_progressively",
    "new_session_folder",
    "next_session_folder",
    "read_summary",
    "sessions_in",
    "shows",
]
