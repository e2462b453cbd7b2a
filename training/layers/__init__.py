"""Layers of the model zoo, one a file, in `keras.ops` only."""

from training.layers.bi_interaction import BiInteraction
from training.layers.bilinear_match import BilinearMatch
from training.layers.bucketised_embedding import BucketisedEmbedding
from training.layers.factorisation_machine import FactorisationMachine
from training.layers.field_attention import FieldAttention
from training.layers.id_dropout import IdDropout
from training.layers.interest_attention import InterestAttention
from training.layers.known_rows import KnownRows
from training.layers.modality_gate import ModalityGate
from training.layers.multihead_residual import MultiHeadResidual
from training.layers.multivalued_embedding import MultiValuedEmbedding
from training.layers.numeric_embedding import NumericEmbedding
from training.layers.pair_attention import PairAttention
from training.layers.vector_cross import VectorCross

__all__ = [
    "BiInteraction",
    "BilinearMatch",
    "BucketisedEmbedding",
    "FactorisationMachine",
    "FieldAttention",
    "IdDropout",
    "InterestAttention",
    "KnownRows",
    "ModalityGate",
    "MultiHeadResidual",
    "MultiValuedEmbedding",
    "NumericEmbedding",
    "PairAttention",
    "VectorCross",
]
