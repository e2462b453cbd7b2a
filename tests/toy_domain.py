"""A domain that is not movies: who reads which articles. General code must carry it as it carries movies."""

from feature_repo.define.column import EVENT, Column, Type
from feature_repo.define.domain import Domain
from feature_repo.define.operation import AtLeast, Count, Fact, FirstAt, LastAt, LastK, MeanStd, TopK
from feature_repo.define.role import Bag, Category, Id, Instant, Number, Sequence
from feature_repo.define.role import Count as CountRole
from feature_repo.define.rule import Reference
from feature_repo.define.table import Table
from feature_repo.define.task import Binary
from feature_repo.define.view import Over, View

READER = Column("reader_id", Type.INT64, "Who read.", low=1, role=Id("reader"), side="user")
ARTICLE = Column("article_id", Type.STRING, "What was read.", role=Id("article"), side="item")
MINUTES = Column("minutes", Type.FLOAT64, "How long it was read.", "minutes", 0, 600, step=0.25)
TOPICS = Column("topics", Type.STRING_LIST, "Topics, sorted.", role=Bag("topic"))
WORDS = Column("words", Type.INT64, "Length.", "words", 1, 100_000, nullable=True, role=Number(), step=1)
SECTION = Column("section", Type.STRING, "Where it stands.", nullable=True, role=Category("section"))
COUNTRY = Column("country", Type.STRING, "Where the reader lives.", nullable=True, role=Category("country"))
AGE = Column("age", Type.INT64, "Of the reader.", "years", 0, 150, nullable=True, role=Number(), step=1)

ARTICLES = Table(
    "articles", "catalogue", (ARTICLE,), (TOPICS, WORDS, SECTION), "What can be read.", ("article_id",)
)
READERS = Table("readers", "catalogue", (READER,), (COUNTRY, AGE), "Who reads.", ("reader_id",))
READS = Table(
    "reads",
    "event",
    (READER, ARTICLE),
    (MINUTES, EVENT),
    "Who read what, and for how long.",
    ("reader_id", "article_id", "event_timestamp"),
    (Reference("article_id", "articles"),),
)
LONG = AtLeast("minutes", 3.0)


def count(name: str) -> Count:
    return Count(Column(name, Type.INT64, "Reads so far.", "reads", 1, fill=0, role=CountRole()))


def mean_std(of: Column, entity: str) -> MeanStd:
    name = f"{entity}_{of.name}"
    mean = Column(f"{name}_mean", Type.FLOAT64, "Mean.", of.unit, of.low, of.high, of.nullable, role=Number())
    return MeanStd(
        of.name, mean, Column(f"{name}_std", Type.FLOAT64, "Deviation.", nullable=of.nullable, role=Number())
    )


def words(name: str, length: int, role: Bag | Sequence) -> Column:
    return Column(name, Type.STRING_LIST, "Padded words.", fill="", length=length, role=role)


READER_STATS = View(
    "reader_stats",
    READER,
    Over(READS, ARTICLES),
    (
        count("reader_read_count"),
        mean_std(MINUTES, "reader"),
        mean_std(WORDS, "reader"),
        FirstAt(Column("reader_first_at", Type.TIMESTAMP, "First read.", role=Instant())),
        LastAt(Column("reader_last_at", Type.TIMESTAMP, "Last read.", role=Instant())),
        TopK("topics", words("reader_top_topics", 2, Bag("topic")), where=LONG),
    ),
    "What a reader reads.",
)
READER_RECENT = View(
    "reader_recent",
    READER,
    Over(READS, ARTICLES, where=LONG),
    (
        LastK("article_id", words("reader_recent_articles", 3, Sequence("article"))),
        LastK("topics", words("reader_recent_topics", 3, Sequence("topic", " "))),
    ),
    "What a reader read at length, newest first.",
)
READER_PROFILE = View(
    "reader_profile",
    READER,
    Over(READERS),
    (
        Fact(
            "country", Column("reader_country", Type.STRING, "Home.", nullable=True, role=Category("country"))
        ),
        Fact("age", Column("reader_age", Type.INT64, "Age.", "years", 0, 150, nullable=True, role=Number())),
    ),
    "Who a reader is.",
    modality="profile",
)
ARTICLE_STATS = View(
    "article_stats",
    ARTICLE,
    Over(READS),
    (count("article_read_count"), mean_std(MINUTES, "article")),
    "How an article is read.",
)
ARTICLE_FACTS = View(
    "article_facts",
    ARTICLE,
    Over(ARTICLES),
    (
        Fact("topics", Column("article_topics", Type.STRING_LIST, "Topics.", role=Bag("topic"))),
        Fact("words", Column("article_words", Type.INT64, "Length.", "words", nullable=True, role=Number())),
        Fact(
            "section",
            Column("article_section", Type.STRING, "Section.", nullable=True, role=Category("section")),
        ),
    ),
    "What an article is.",
)

VIEWS = (READER_STATS, READER_RECENT, READER_PROFILE, ARTICLE_STATS, ARTICLE_FACTS)
PRESS = Domain(
    "press",
    "Articles and their readers.",
    sources=(READS, ARTICLES, READERS),
    views=VIEWS,
    services={"press_v1": VIEWS},
    tasks=(Binary("finished", "minutes", 3.0, says="finished"),),
)
