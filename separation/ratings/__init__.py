"""What people said: trials, events, clips. No torch, no page; everything that is acknowledged is on disk."""

from separation.ratings.clips import ClipFolder as ClipFolder
from separation.ratings.clips import ClipStore as ClipStore
from separation.ratings.clips import clip_id as clip_id
from separation.ratings.records import Event as Event
from separation.ratings.records import Trial as Trial
from separation.ratings.records import parse_event as parse_event
from separation.ratings.store import Store as Store
from separation.ratings.store import Stored as Stored
from separation.ratings.store import Withdrawn as Withdrawn
from separation.ratings.views import Rating as Rating
from separation.ratings.views import Said as Said
from separation.ratings.views import rating_of as rating_of
from separation.ratings.views import said as said
