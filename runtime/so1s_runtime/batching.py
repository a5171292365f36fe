"""Several requests in one call of the model.

Rows of requests that wait together are put one after another, and the answer is cut where they meet.
"""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from so1s_runtime.call import Outcome, attempt
from so1s_runtime.question import Question

Arrays = Mapping[str, np.ndarray]


def groups(questions: Mapping[int, Question], most_rows: int) -> list[list[int]]:
    """The numbers of the questions that may share a call: equal but for rows, and not too many of those."""
    made: list[list[int]] = []
    latest: dict[Hashable, tuple[list[int], int]] = {}
    for index, question in questions.items():
        key, rows = _key(question), _rows(question)
        group, taken = latest.get(key, ([], most_rows))
        if taken + rows > most_rows:
            group, taken = [], 0
            made.append(group)
        group.append(index)
        latest[key] = group, taken + rows
    return made


def answer(questions: Sequence[Question]) -> list[Outcome]:
    """The outcome of each; where the call fails, each is asked alone, as only one of them may be wrong."""
    if len(questions) > 1:
        together = attempt(lambda: _ask_together(questions))
        if not together.error:
            pairs = zip(questions, together.result, strict=True)
            return [attempt(lambda asked=asked, arrays=arrays: asked.say(arrays)) for asked, arrays in pairs]
    return [attempt(question.answer) for question in questions]


def merge(requests: Sequence[Arrays]) -> dict[str, np.ndarray]:
    """The rows of all requests, one after another."""
    return {name: np.concatenate([inputs[name] for inputs in requests]) for name in requests[0]}


def split(arrays: Sequence[np.ndarray], lengths: Sequence[int]) -> list[list[np.ndarray]]:
    """The answer to each request. Raises ValueError where the answer has another number of rows."""
    total, ends = sum(lengths), np.cumsum(lengths).tolist()
    if any(len(array) != total for array in arrays):
        raise ValueError(f"{total} rows were asked, {[len(array) for array in arrays]} answered")
    return [
        [array[end - length : end] for array in arrays] for length, end in zip(lengths, ends, strict=True)
    ]


def _ask_together(questions: Sequence[Question]) -> list[list[np.ndarray]]:
    first = questions[0]
    arrays = first.model.run(merge([question.inputs for question in questions]), first.outputs)
    return split(arrays, [_rows(question) for question in questions])


def _key(question: Question) -> Hashable:
    shapes = tuple((name, array.shape[1:]) for name, array in sorted(question.inputs.items()))
    return id(question.model), tuple(spec.name for spec in question.outputs), shapes


def _rows(question: Question) -> int:
    return len(next(iter(question.inputs.values())))
