"""What turns texts into vectors. A model's package is imported when its embedder starts."""

from .base import Embedder, EmbedderError, Vectors, WordVectors
from .minilm import MiniLMEmbedder
from .onnx import OnnxEmbedder
from .openai import OpenAIEmbedder
from .wordllama import WordLlamaEmbedder

__all__ = [
    "Embedder",
    "EmbedderError",
    "MiniLMEmbedder",
    "OnnxEmbedder",
    "OpenAIEmbedder",
    "Vectors",
    "WordLlamaEmbedder",
    "WordVectors",
]
