"""The English words that the guard knows: numbers, dates, units, negations, opposites and the small ones."""

from __future__ import annotations

from ..lists import words_of

__all__ = [
    "AFTER_NUMBERS",
    "ARITHMETIC",
    "DATES",
    "DIRECTIONS",
    "HALVES_OF_DAY",
    "IRREGULAR",
    "KEEP",
    "MEASURING",
    "NEGATING",
    "NEGATIONS",
    "NOT_DENIED",
    "NOT_PREFIXED",
    "NUMBERED",
    "NUMBERS",
    "OPERATORS",
    "PERIODS",
    "PREFIXES",
    "PROTOCOLS",
    "RAISED",
    "RELATIVE",
    "SAYS_NOTHING",
    "SMALL_WORDS",
    "SPOKEN",
    "SUFFIXES",
    "TIMES",
    "UNITS",
]


_COUNTED = """
zero _ two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
eighteen nineteen twenty
"""  # without "one", which is a pronoun as often
_ORDERED = "_ first second third fourth fifth sixth seventh eighth ninth tenth"
NUMBERS = {
    word: str(value)
    for words in (_COUNTED, _ORDERED)
    for value, word in enumerate(words.split())
    if word != "_"
} | {"thirty": "30", "forty": "40", "fifty": "50", "hundred": "100", "thousand": "1000", "million": "1000000"}

DATES = {
    word
    for words in (
        "january february march april june july august september october november december",
        "monday tuesday wednesday thursday friday saturday sunday",
        "today tomorrow yesterday tonight",
        "spring summer autumn winter",
    )
    for word in words.split()
} - {"march", "august"} | {"March", "August"}  # small, they are a verb and an adjective
RELATIVE = {
    "last": "last",
    "previous": "last",
    "past": "last",
    "this": "this",
    "current": "this",
    "next": "next",
}
PERIODS = words_of("day week weekend month quarter year season night morning evening")

UNITS = {
    alias: unit
    for unit, aliases in {
        "%": "% percent",
        "USD": "$ usd dollar dollars",
        "EUR": "€ eur euro euros",
        "GBP": "£ gbp pound pounds",
        "JPY": "¥ jpy yen",
        "km": "km kilometre kilometres kilometer kilometers",
        "m": "metre metres meter meters",
        "cm": "cm centimetre centimetres centimeter centimeters",
        "mile": "mi mile miles",
        "foot": "ft foot feet",
        "inch": "inch inches",
        "kg": "kg kilogram kilograms kilo kilos",
        "g": "gram grams",
        "lb": "lb lbs",
        "oz": "oz ounce ounces",
        "litre": "litre litres liter liters",
        "gallon": "gallon gallons",
        "mg": "mg milligram milligrams",
        "mcg": "mcg microgram micrograms \u03bcg",
        "ml": "ml millilitre millilitres milliliter milliliters",
        "mm": "mm millimetre millimetres millimeter millimeters",
        "ms": "ms millisecond milliseconds",
        "celsius": "celsius centigrade",
        "fahrenheit": "fahrenheit",
        "KB": "kb kilobyte kilobytes",
        "MB": "mb megabyte megabytes",
        "GB": "gb gigabyte gigabytes",
        "TB": "tb terabyte terabytes",
    }.items()
    for alias in aliases.split()
}

AFTER_NUMBERS = {"m": "m", "g": "g", "l": "litre", "L": "litre", "C": "celsius", "F": "fahrenheit"}
"""Units of one letter, which are units after a number only."""

NEGATIONS = words_of("not no never none nobody nothing neither nor cannot without hardly unable")
_IRREGULAR = """
beat beaten/become became/begin began begun/bring brought/build built/buy bought/catch caught/
choose chose chosen/come came/deal dealt/draw drew drawn/drink drank/drive drove driven/eat ate eaten/
fight fought/fly flew flown/forget forgot forgotten/forgive forgave forgiven/freeze froze/
give gave given/go went gone/grow grew grown/hang hung/hear heard/hide hid/hold held/keep kept/
know knew known/lend lent/lose lost/make made/mean meant/meet met/ride rode ridden/ring rang rung/
run ran/seek sought/sell sold/send sent/shake shook shaken/sing sang sung/sink sank sunk/sit sat/
sleep slept/speak spoke spoken/spend spent/stand stood/steal stole stolen/stick stuck/strike struck/
swim swam/take took taken/teach taught/tear tore torn/tell told/think thought/throw threw thrown/
understand understood/wake woke woken/wear wore worn/win won/withdraw withdrew withdrawn/
write wrote written
"""
IRREGULAR = {
    prefix + past: prefix + verb
    for prefix in ("", "mis", "re", "over", "un", "out", "under", "fore")
    for verb, *pasts in map(str.split, _IRREGULAR.replace("\n", "").split("/"))
    for past in pasts
} | {"paid": "paid"}
"""Past forms by their verb, but those that mean something else besides: left, found, broken, felt, led."""
PROTOCOLS = words_of("http ftp imap ldap smtp mqtt amqp")
"""With an s behind it, each is another one."""
KEEP = words_of("less pros cons gas bus his this is was has does yes news") | {
    f"{each}s" for each in PROTOCOLS
}


DIRECTIONS = words_of("from to into than over beat beats against by")
SMALL_WORDS = words_of(
    """
    a an the i we you he she it they me my your our his her its their us them is are was were be been do does
    did can could may might must shall should will would have has had how what which who whom whose when where
    why and or but if of in on at for with as so please tell show give list name explain describe translate
    convert recommend summarise summarize write compare plan until there that this these those also any some
    want like need let recipe recipes best cheap good
    """
)
"""What says nothing of a question's subject; its capital, at the beginning, names nothing."""
SAYS_NOTHING = SMALL_WORDS | NEGATIONS
"""Small words and negations, which name nothing."""
NOT_DENIED = SMALL_WORDS | words_of("any anything very being get able to too yet still already really just")
"""What may stand between a negation and the word that it denies."""
NUMBERED = words_of(
    "war part chapter type phase stage volume version level act grade section book class tier"
)
"""What Roman numerals follow."""
MEASURING = words_of(
    """
    about above add adds almost approximately average below charge charged cost costs decimal divide divided
    earn equal equals exactly fee length minus multiply multiplied nearly number only over paid pay pays plus
    price rate round rounded roughly score spend spent subtract sum than times under value weigh weighs width
    worth x height number total amount
    """
)
"""What quantities follow: a number with a dot after another word is taken for a version."""

SPOKEN = {
    "+": "plus positive",
    "++": "plusplus pp",
    "-": "minus negative dash",
    "*": "star asterisk times",
    "#": "sharp hash hashtag number",
    ".": "dot point",
    "@": "at",
    "$": "dollar",
    "!": "not bang",
    "&": "and ampersand",
    "~": "tilde",
    "^": "caret",
    "%": "percent",
    "/": "slash",
    "\\": "backslash",
}
"""The names of symbols, as they are said before or after what they are attached to."""
OPERATORS = {
    "+": "plus sum add added adding addition positive more over older above",
    "-": "minus difference subtract subtracted subtraction from less to through and until",
    "*": "times multiply multiplied product by star stars asterisk wildcard all x",
    "/": "divide divided division over per quotient by of slash fraction ratio",
    "^": "power squared cubed raised exponent caret square cube",
    "=": "equals equal is",
    "==": "equals equal equality",
    "!=": "unequal different not",
    "<": "less under below smaller fewer than lower before cheaper",
    ">": "more over above greater bigger larger than higher after",
    "<=": "most up less maximum max within",
    ">=": "least more minimum min from",
    "&": "and ampersand",
    "&&": "and",
    "|": "or pipe piping piped given",
    "||": "or",
    "->": "to into gives give arrow then yields",
    "=>": "implies arrow to gives then",
    "<-": "from",
    "@": "at",
    "#": "number hash sharp hashtag pound",
    "~": "about around approximately roughly tilde home",
    "%": "percent modulo mod remainder",
    "!": "factorial not bang",
    "\u00b1": "tolerance minus give",
    "\u221a": "root sqrt",
    "\u2211": "sum",
    "\u222b": "integral",
    "\u221e": "infinity infinite",
    "\u2208": "in element member",
    "\u2248": "about approximately approximate almost",
    "\u2227": "and",
    "\u2228": "or",
    "\u00ac": "not",
}
"""The words for operators: a text that has one of them needs no symbol."""
ARITHMETIC = {
    "plus": "+",
    "minus": "-",
    "times": "*",
    "divided": "/",
    "multiplied": "*",
}
RAISED = {"squared": "2", "cubed": "3"}
TIMES = {"noon": "12:00", "midday": "12:00", "midnight": "0:00"}
HALVES_OF_DAY = {"morning": "am", "afternoon": "pm", "evening": "pm", "tonight": "pm"}
NEGATING = words_of("un in im ir il dis non mis de anti counter a")
"""Prefixes that turn the word after them into its opposite."""
PREFIXES = """
over / under
pre / post
up / down
on / off
maj / min
en em / dis
en / de
intra / inter
hyper / hypo
in / ex
im / ex
im / em e
in / out
as / des
pro / anti
pro / con
micro / macro
mini / maxi
mono / poly
homo / hetero
sub / super
fore / back
for / back
as / dis
sym / asym
ante / post
mal / bene
uni / multi
single / multi
homo / hetero
ecto / endo
endo / exo
""".strip()
"""Prefixes that make opposites of what they are both put before: overload and underload."""
SUFFIXES = "less / ful\ner / ee\nor / ee\nphile / phobe\nphilic / phobic\nphilia / phobia"
NOT_PREFIXED = words_of(
    """
    input inside into income increase impact important improve indeed instead design display discover
    discuss describe deliver depart depend detail decode until under unit unless inform install invent
    discount dispatch about above access account across add address again against ago ahead alike alive
    allow alone along amount around arrange arrive aside assign away awake await demand defend deposit
    dessert distress index impress import imply implant imprint intend intent interest interview intense
    instance instant illustrate disease distance distinct missing mission mister misty miss
    """
)
"""Words that only look as if they had a prefix."""
