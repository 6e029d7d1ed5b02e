"""The vocabulary of the original DiST/TAdaConv configuration files, as a table."""

from utils.config import Vocabulary

RELEASE_VOCABULARY = Vocabulary(name="the original release")
