"""What the folder of a sentence transformer says: which file is the model, its tokenizer and its settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from .base import EmbedderError
from .packages import load
from .reading import is_letter
from .transformer import Tokenizer
from .wordpiece import WordPiece, read_vocabulary

__all__ = ["Folder", "read_tokenizer"]

T = TypeVar("T")

_MODEL_FILES = ("model.onnx", "onnx/model.onnx")
_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "tokenizer_config.json")
_MAX_LENGTH = 512
"""What nearly every model takes; some that name more have weights for no more."""

_KNOWN_MODULES = ("Transformer", "Pooling", "Normalize")


class _Pooling(msgspec.Struct):
    pooling_mode: str | None = None
    pooling_mode_cls_token: bool = False
    pooling_mode_mean_tokens: bool = False


class _Sentence(msgspec.Struct):
    max_seq_length: int | None = None


class _Model(msgspec.Struct):
    max_position_embeddings: int | None = None


class _Prompts(msgspec.Struct):
    prompts: dict[str, str] | None = None
    default_prompt_name: str | None = None


class _Module(msgspec.Struct):
    type: str = ""


class Folder:
    """The folder of a model. Raises `ValueError` if it is none, or its files say what can't be understood."""

    def __init__(self, path: Path, file: str | None) -> None:
        if not path.is_dir():
            raise ValueError(f"folder: must be a folder with an ONNX model, but {str(path)!r} is none")
        names = _MODEL_FILES if file is None else (file,)
        found = [path / name for name in names if (path / name).is_file()]
        if not found:
            raise ValueError(
                f"folder: {str(path)!r} has no file {' or '.join(names)}; export the model with "
                "`optimum-cli export onnx`, or name its file: OnnxEmbedder(folder, file='model_int8.onnx')"
            )
        if not any((path / name).is_file() for name in _TOKENIZER_FILES[:2]):
            raise ValueError(f"folder: {str(path)!r} has no tokenizer: no tokenizer.json and no vocab.txt")
        self.path = path
        self.name: str = path.resolve().name
        self.model: Path = found[0]

    def files(self) -> list[Path]:
        """The files that vectors depend on: the model's, weights beside it, and the tokenizer's."""
        model = sorted(self.model.parent.glob(f"{self.model.name}*"))  # model.onnx, model.onnx_data
        return [*model, *(self.path / name for name in _TOKENIZER_FILES if (self.path / name).is_file())]

    def pooling(self) -> str:
        """The pooling that the folder asks for; "mean" if it says nothing."""
        settings = self.read("1_Pooling/config.json", _Pooling)
        if settings is None or settings.pooling_mode == "mean" or settings.pooling_mode_mean_tokens:
            return "mean"
        if settings.pooling_mode == "cls" or settings.pooling_mode_cls_token:
            return "cls"
        raise ValueError(
            f"pooling: {str(self.path)!r} asks for one that is neither 'mean' nor 'cls'; "
            "export the model with its pooling, so that it has the output sentence_embedding"
        )

    def max_length(self) -> int:
        """How many pieces the model takes at once."""
        sentence = self.read("sentence_bert_config.json", _Sentence)
        model = self.read("config.json", _Model)
        known = (sentence and sentence.max_seq_length, model and model.max_position_embeddings)
        return min([_MAX_LENGTH, *(length for length in known if length)])

    def default_prompt(self) -> str:
        """What the model wants before each text; mostly nothing."""
        settings = self.read("config_sentence_transformers.json", _Prompts)
        if settings is None or not settings.prompts or not settings.default_prompt_name:
            return ""
        return settings.prompts.get(settings.default_prompt_name, "")

    def refuse_unknown_modules(self) -> None:
        """Raise `EmbedderError` for a model that does more with a vector than pooling."""
        kinds = [module.type.rpartition(".")[2] for module in self.read("modules.json", list[_Module]) or ()]
        unknown = [kind for kind in kinds if kind not in _KNOWN_MODULES]
        if unknown:
            raise EmbedderError(
                f"the model in {str(self.path)!r} has a module {unknown[0]} after its transformer; "
                "export it with all modules, so that it has the output sentence_embedding"
            )

    def read(self, name: str, kind: type[T]) -> T | None:
        """A JSON file of the folder; None if there is none."""
        path = self.path / name
        if not path.is_file():
            return None
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"folder: {str(path)!r} can't be understood: {error}") from error


class _Normalizer(msgspec.Struct):
    # Any: another normalizer may have another type under these names.
    type: str = ""
    clean_text: Any = True
    handle_chinese_chars: Any = True
    strip_accents: Any = None
    lowercase: Any = True


class _Named(msgspec.Struct):
    type: str = ""


class _WordPieceModel(msgspec.Struct):
    type: str = ""
    vocab: Any = None
    unk_token: str | None = None
    unk_id: int | None = None
    continuing_subword_prefix: str | None = "##"
    max_input_chars_per_word: int = 100


class _TokenizerFile(msgspec.Struct):
    model: _WordPieceModel
    normalizer: _Normalizer | None = None
    pre_tokenizer: _Named | None = None


class _TokenizerSettings(msgspec.Struct):
    do_lower_case: bool = True
    strip_accents: bool | None = None
    tokenize_chinese_chars: bool = True


def read_tokenizer(folder: Folder) -> Tokenizer:
    """The tokenizer of a folder.

    Raises `EmbedderError` for one that can't be understood, and `ImportError` if it takes the package
    ``tokenizers`` to read it.
    """
    try:
        return _tokenizer(folder)
    except ValueError as error:
        raise EmbedderError(f"the tokenizer in {str(folder.path)!r} can't be used: {error}") from error


def _tokenizer(folder: Folder) -> Tokenizer:
    file = folder.read("tokenizer.json", _TokenizerFile)
    if file is None:
        settings = folder.read("tokenizer_config.json", _TokenizerSettings) or _TokenizerSettings()
        return WordPiece(
            read_vocabulary(folder.path / "vocab.txt"),
            lowercase=settings.do_lower_case,
            strip_accents=settings.strip_accents,
            split_chinese=settings.tokenize_chinese_chars,
        )
    model, normalizer = file.model, file.normalizer
    if (
        model.type == "WordPiece"
        and (model.unk_token, model.continuing_subword_prefix) == ("[UNK]", "##")
        and model.max_input_chars_per_word == 100
        and normalizer is not None
        and (normalizer.type, normalizer.clean_text) == ("BertNormalizer", True)
        and file.pre_tokenizer is not None
        and file.pre_tokenizer.type == "BertPreTokenizer"
    ):
        return WordPiece(
            msgspec.convert(model.vocab, dict[str, int]),
            lowercase=normalizer.lowercase,
            strip_accents=normalizer.strip_accents,
            split_chinese=normalizer.handle_chinese_chars,
        )
    return _PackagedTokenizer(folder.path / "tokenizer.json", model)


_BYTE = re.compile("<0x[0-9A-F]{2}>")
"""A piece that is one byte of a character that the model does not know."""


class _PackagedTokenizer:
    """Any ``tokenizer.json``, read by the package ``tokenizers``."""

    def __init__(self, path: Path, model: _WordPieceModel) -> None:
        package = load("tokenizers")
        try:
            self._tokenizer: Any = package.Tokenizer.from_file(str(path))
        except Exception as error:  # the package raises no other kind
            raise EmbedderError(f"{str(path)!r} is not understood by tokenizers: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        # Signs such as [SEP] in a text are text, as with `WordPiece`.
        self._tokenizer.encode_special_tokens = True
        unknown = None if model.unk_token is None else self._tokenizer.token_to_id(model.unk_token)
        self._unknown = model.unk_id if unknown is None else unknown
        bare = self.encode("a")
        whole: list[int] = self._tokenizer.encode("a").ids
        starts = [at for at in range(len(whole)) if whole[at : at + len(bare)] == bare]
        if not bare or not starts:
            raise EmbedderError(f"{str(path)!r}: this tokenizer changes the text between its special pieces")
        self.before: Sequence[int] = whole[: starts[0]]
        self.after: Sequence[int] = whole[starts[0] + len(bare) :]

    def encode(self, text: str) -> list[int]:
        numbers: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return numbers

    def words(self, text: str) -> Iterator[tuple[str, Sequence[str]]]:
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        piece_at: list[int | None] = [None] * len(text)
        spelled: set[int] = set()  # characters of several pieces, or of pieces that stand for a byte
        unknown: set[int] = set()
        for index, (number, token, (start, end)) in enumerate(
            zip(encoding.ids, encoding.tokens, encoding.offsets, strict=True)
        ):
            for at in range(start, end):
                if piece_at[at] is not None or _BYTE.fullmatch(token):
                    spelled.add(at)
                if number == self._unknown:
                    unknown.add(at)
                piece_at[at] = index
        for start, end in _runs(text):
            places = range(start, end)
            if not unknown.isdisjoint(places):
                yield text[start:end], ()
                continue
            pieces = ["" if at in spelled else text[at] for at in places[:1]]
            for at in places[1:]:
                if at in spelled or piece_at[at] != piece_at[at - 1]:
                    pieces.append("")
                pieces[-1] += "" if at in spelled else text[at]
            yield text[start:end], pieces if any(pieces) else ("", "")


def _runs(text: str) -> Iterator[tuple[int, int]]:
    """Where each run of letters begins and ends."""
    start = None
    for at, character in enumerate(text + " "):
        if is_letter(character) and start is None:
            start = at
        elif not is_letter(character) and start is not None:
            yield start, at
            start = None
