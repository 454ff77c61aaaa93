"""Train a recurrent language model on your own text, and write with it.

    import charnn

    model = charnn.train("corpus.txt", minutes=10)     # or charnn.load("checkpoints/corpus")
    model.generate("Once upon a time", max_tokens=200)

What the names stand for is imported when they are first used; only training imports torch.
"""

TYPE_CHECKING = False  # type checkers know the name; importing typing takes longer than all else
if TYPE_CHECKING:
    from charnn.api.corpora import tokenize
    from charnn.api.model import Model, load
    from charnn.api.training import resume, train
    from charnn.errors import CharnnError

__version__ = "0.1.0"

__all__ = ["CharnnError", "Model", "load", "resume", "tokenize", "train"]

if not TYPE_CHECKING:  # or every name would seem to be there
    _MODULES = {
        "CharnnError": "charnn.errors",
        "Model": "charnn.api.model",
        "load": "charnn.api.model",
        "resume": "charnn.api.training",
        "tokenize": "charnn.api.corpora",
        "train": "charnn.api.training",
    }

    def __getattr__(name):
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        globals()[name] = value = getattr(import_module(_MODULES[name]), name)
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
