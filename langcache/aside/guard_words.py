"""The English words that the guard knows: numbers, dates, units, negations, opposites and the small ones."""

from __future__ import annotations

__all__ = [
    "DATES",
    "DIRECTIONS",
    "IRREGULAR",
    "KEEP",
    "NEGATIONS",
    "NUMBERS",
    "PAIRS",
    "PERIODS",
    "RELATIVE",
    "SMALL_WORDS",
    "UNITS",
]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


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
PERIODS = _words("day week weekend month quarter year season night morning evening")

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
        "celsius": "celsius centigrade",
        "fahrenheit": "fahrenheit",
        "KB": "kb kilobyte kilobytes",
        "MB": "mb megabyte megabytes",
        "GB": "gb gigabyte gigabytes",
        "TB": "tb terabyte terabytes",
    }.items()
    for alias in aliases.split()
}

NEGATIONS = _words("not no never none nobody nothing neither nor cannot without hardly unable")
PAIRS = """
enable activate allow permit / disable deactivate block deny forbid prevent
on / off
open / close shut
start begin / stop end finish quit
install / uninstall remove
add insert include / remove delete exclude
max maximum most / min minimum least
highest tallest top / lowest shortest bottom
high higher / low lower
large larger largest big bigger biggest / small smaller smallest
long longer longest / short shorter shortest
fast faster fastest / slow slower slowest
best better good / worst worse bad
old older oldest / young younger youngest new newer newest
early earlier earliest first / late later latest last
hot hotter hottest warm / cold colder coldest cool
cheap cheaper cheapest / expensive
easy easier easiest / hard harder hardest difficult
more / less fewer
increase raise gain grow / decrease reduce lower lose shrink
rise / fall
advantage pro benefit strength / disadvantage con drawback risk weakness
buy purchase / sell
lend / borrow
send / receive
push / pull
upload / download
import / export
login / logout
in / out
enter / leave exit
encrypt encode compress zip / decrypt decode decompress unzip
lock / unlock
block / unblock
mute / unmute
freeze / unfreeze thaw
subscribe / unsubscribe
follow / unfollow
connect attach join / disconnect detach leave
before / after
with / without
above over / below under
inside indoor / outside outdoor
accept approve / reject decline refuse
win / lose
show reveal / hide
love like / hate dislike
safe / dangerous unsafe
legal / illegal
possible / impossible
healthy / unhealthy
paid / unpaid free
public / private
true / false
male man men boy / female woman women girl
left / right
north / south
east / west
always / never
everything / nothing
create make build / delete destroy
sunrise / sunset
deposit / withdraw
input / output
empty / full
""".strip()

IRREGULAR = {"bought": "buy", "sold": "sell", "hidden": "hide", "lost": "lose", "won": "win", "paid": "paid"}
KEEP = _words("less pros cons gas bus his this is was has does yes news")


DIRECTIONS = _words("from to into than over beat beats against by")
SMALL_WORDS = _words(
    """
    a an the i we you he she it they me my your our his her its their us them is are was were be been do does
    did can could may might must shall should will would have has had how what which who whom whose when where
    why and or but if of in on at for with as so please tell show give list name explain describe translate
    convert recommend summarise summarize write compare plan until there that this these those also any some
    want like need let recipe recipes best cheap good
    """
)
"""What says nothing of a question's subject; its capital, at the beginning, names nothing."""
