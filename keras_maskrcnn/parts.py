"""What the parts of a model have in common: settings, names to choose them by, and files.

A part is one exchangeable piece of a model: a backbone, a neck, an RPN, a head. It is made with
settings alone, all of them keywords, and gets its layers when a model is built around it.

Keras is imported where it is needed: data has such parts too, and needs no Keras.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

from keras_maskrcnn.checks import known_names, nearest

PartClass = TypeVar("PartClass", bound=type)


class Part:
    """Base of all parts: knows its settings, so that it can be saved and made again.

    The settings are the keywords of the constructor; what a call leaves out counts with its
    default. A subclass needs no `get_config` of its own.

    Raises:
        ValueError: for a keyword that the constructor lacks, naming the nearest that it has.
    """

    _settings: dict[str, Any]

    def __new__(cls, **settings: Any) -> Self:
        known = setting_names(cls)
        known_names(cls.__name__, settings, list(known))
        part = super().__new__(cls)
        part._settings = {**known, **settings}
        return part

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting by its name."""
        return dict(self._settings)

    def get_config(self) -> dict[str, Any]:
        """The settings as JSON holds them; those that are parts or layers are described too."""
        return {name: describe(value) for name, value in self._settings.items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The part that `get_config` described."""
        return cls(**{name: restore(value) for name, value in config.items()})

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self._settings.items())
        return f"{type(self).__name__}({values})"


def setting_names(cls: Any) -> dict[str, Any]:
    """The keywords of a class' constructor with their defaults (`None` for a required one)."""
    parameters = inspect.signature(cls.__init__).parameters.values()
    return {
        p.name: None if p.default is p.empty else p.default
        for p in parameters
        if p.kind is p.KEYWORD_ONLY
    }


def describe(value: Any) -> Any:
    """A setting as JSON holds it."""
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    if isinstance(value, Mapping):
        return {key: describe(item) for key, item in value.items()}
    if hasattr(value, "get_config"):
        import keras

        return keras.saving.serialize_keras_object(value)
    return value


def restore(value: Any) -> Any:
    """Inverse of `describe`; lists become tuples."""
    if isinstance(value, list | tuple):
        return tuple(restore(item) for item in value)
    if isinstance(value, Mapping):
        if {"class_name", "config"} <= set(value):
            import keras

            return keras.saving.deserialize_keras_object(value)
        return {key: restore(item) for key, item in value.items()}
    return value


class Registry:
    """The parts of one kind, by name.

    Args:
        kind: what they are, for messages: `"backbone"`.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._classes: dict[str, type] = {}

    def register(self, *names: str) -> Callable[[PartClass], PartClass]:
        """Class decorator: the class is chosen by any of `names`, and can be saved.

        Raises:
            ValueError: where another class has the name; that of a file which is run anew may take
                its own again.
        """

        def add(cls: PartClass) -> PartClass:
            for name in names:
                known = self._classes.get(name, cls)
                if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
                    raise ValueError(
                        f"{self.kind} {name!r} is registered already, as {known.__qualname__} of "
                        f"{known.__module__}. Received: {cls.__qualname__} of {cls.__module__}"
                    )
                self._classes[name] = cls
            self.save_with_keras(cls)
            return cls

        return add

    def save_with_keras(self, cls: type) -> None:
        """Registers a class with Keras; one that is registered already keeps its place there."""
        import keras

        if keras.saving.get_registered_name(cls) == cls.__name__:
            keras.saving.register_keras_serializable(package=cls.__module__.split(".")[0])(cls)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._classes))

    def find(self, name: str) -> type:
        """The class of that name; `ValueError` with the nearest name for an unknown one."""
        if name not in self._classes:
            raise ValueError(
                f"{self.kind} must be one of {self.names}, or an object."
                f"{nearest(name, self.names)} Received: {self.kind}={name!r}"
            )
        return self._classes[name]

    def make(self, choice: Any, *, default: str, settings: Mapping[str, Any] | None = None) -> Any:
        """A part from what a user may say.

        Args:
            choice: a part, which is given back; a name; a dict of settings, with `name` where it
                is not the default; or `None` for the default.
            default: name where none is given.
            settings: defaults in place of the constructor's.

        Raises:
            ValueError: for an unknown name or setting.
            TypeError: for anything else.
        """
        if choice is None:
            choice = default
        if isinstance(choice, str):
            choice = {"name": choice}
        if not isinstance(choice, Mapping):
            if hasattr(choice, "get_config"):
                return choice
            raise TypeError(
                f"{self.kind} must be a name, a dict of settings or an object. "
                f"Received: {self.kind}={choice!r}"
            )
        name = choice.get("name", default)
        cls = self.find(name)
        given = {**(settings or {}), **choice, "name": name}
        if "name" not in setting_names(cls):
            del given["name"]
        return cls(**{key: restore(value) for key, value in given.items()})


class DataRegistry(Registry):
    """The parts of one kind that live beside the model, in no Keras file."""

    def save_with_keras(self, cls: type) -> None:
        pass

    def name_of(self, cls: type) -> str:
        """The name that a class is registered by; `ValueError` if it is not."""
        for name in self.names:
            if self.find(name) is cls:
                return name
        raise ValueError(
            f"{self.kind} must be registered by a name, as with @register('mine'), to be "
            f"described. Received: {cls.__name__}"
        )
