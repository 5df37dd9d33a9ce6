"""What the owner wants to be rated, handed out one after the other to whoever comes to rate.

The owner marks jobs (`Job.want`); they stay until that is taken back. The one with the fewest raters comes first, so that the
ratings spread evenly; among equals each listener has an order of their own, so that two who come together do not get the
same. Not a listening test: nothing here balances conditions or hides who made what.
"""

import hashlib
from typing import NamedTuple

from separation.engine.jobs import Job
from separation.ui.frame import Services
from separation.ui.rating_trials import subject_of


class Next(NamedTuple):
    """What a listener may rate next.

    Args:
        job: the id of the job to open; None if nothing is left.
        left: how many this listener has not rated, this one included, the one that is open not.
        wanted: how many the owner wants ratings of.
    """

    job: str | None
    left: int
    wanted: int


def next_wanted(services: Services, listener: str | None, *, after: str = "") -> Next:
    """The wanted job with the fewest raters that a listener has not rated.

    Args:
        services: where jobs and ratings are.
        listener: the random id that a browser keeps; None for one that never rated.
        after: the id of the job that is open now: another one is wished for.
    """
    wanted = services.store.wanted()
    raters = services.ratings.raters(subject_of(job) for job in wanted)
    left = [job for job in wanted if job.id != after and listener not in raters[subject_of(job)]]

    def turn(job: Job) -> tuple[int, str]:
        own_order = hashlib.sha256(f"{listener} {job.id}".encode()).hexdigest()
        return len(raters[subject_of(job)]), own_order

    chosen = min(left, key=turn, default=None)
    return Next(None if chosen is None else chosen.id, len(left), len(wanted))
