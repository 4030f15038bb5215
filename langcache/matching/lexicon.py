"""English words that say the same, and words of which two different ones never say the same."""

from __future__ import annotations

from collections.abc import Iterable

from .guard.opposites import stem

__all__ = ["contrasts", "meaning"]

_SAME = """
buy purchase get acquire
cost price fee charge rate expense
cancel terminate end stop discontinue
delete remove erase
change update modify alter edit amend switch
create make generate produce build
begin start launch
fix repair solve resolve troubleshoot
show display view see
find locate search look lookup track
send deliver ship dispatch post mail
delivery shipping shipment postage
parcel package order shipment
quick fast rapid speedy quickly
big large huge
small little tiny
simple easy straightforward
best top ideal good
cheap inexpensive affordable budget
reserve book booking reservation
hotel accommodation
movie film
car vehicle auto automobile
phone mobile cellphone smartphone telephone cell
photo picture image photograph pic
person people someone somebody anyone anybody
child kid children kids
job work employment
salary pay wage wages income earnings
employer boss company
firm company business
lawyer attorney solicitor
doctor physician gp
medicine medication drug
illness disease sickness
symptom sign
purpose aim goal
reason cause
problem issue trouble error fault
method way approach technique process procedure
step instruction guide tutorial
help support assist assistance
contact reach call
explain describe define definition meaning
difference distinction
benefit advantage pro
drawback disadvantage downside con
use utilize utilise using
need require necessary required
allow permit permitted allowed
join register enrol enroll signup
login signin
logout signout
password passcode
account profile
refund reimbursement moneyback
return refund
receive get obtain
retrieve recover
verify confirm validate
test check
choose select pick
increase raise
reduce decrease lower
finish complete
forget forgot forgotten lost
broken faulty defective damaged
happen occur
city town
trip journey travel
vacation holiday
airplane plane aircraft
country nation
usa us america american
uk britain british
uae emirates
flat apartment
shop store
rubbish trash garbage waste
autumn fall
close nearest closest near nearby
current present latest now today currently
many number count
amount quantity
length long duration
weigh weight heavy
tall height high
old age
size big large
distance far
speed fast
temperature hot
population inhabitant people
author writer wrote write written
inventor invent invented invention
discover discovered discoverer
found founder founded
win winner won champion
die died death
born birth
located location situated place
money fund funds cash
card
bill invoice
transaction payment
transfer send move
withdraw withdrawal
limit maximum cap
wrong incorrect mistake
decline declined reject rejected refuse refused
pending outstanding
stolen theft
owe debt
tip suggestion advice recommendation
learn study
teach instruct
summary summarise summarize overview
movie film
music song
reply answer response respond
talk speak chat
tell inform
meeting appointment
timetable schedule
alarm
remind reminder
list
calorie calories kcal
nutrition nutritional
recipe cook prepare
food meal dish
eat eating consume
drink beverage
ingredient
substitute replace replacement swap
insurance cover coverage
tax taxes taxation
deadline due
apply application
eligible qualify entitled entitlement
renew renewal extend extension
expire expiry expiration
copy duplicate
attach attachment
connect link connection
ask request
download
install installation setup
function method
database db
javascript js
typescript ts
python py
kubernetes k8s
postgres postgresql
config configuration configure setting settings
folder directory
delete drop
error exception
centre center
theatre theater
colour color
favourite favorite
neighbour neighbor
behaviour behavior
programme program
catalogue catalog
jewellery jewelry
tyre tire
licence license
organise organize
analyse analyze
submit send
invite invitation
warranty guarantee
theme mode
staff employee worker
include cover
france french
germany german
spain spanish
italy italian
portugal portuguese
china chinese
japan japanese
russia russian
britain british
"""
_SAME_LINES = tuple(tuple(line.split()) for line in _SAME.strip().splitlines() if len(line.split()) > 1)

_APART = """
january february march april may june july august september october november december
monday tuesday wednesday thursday friday saturday sunday
weekday weekdays / weekend weekends / holiday holidays
today / tomorrow / yesterday / tonight
morning / afternoon / evening / night
breakfast / brunch / lunch / dinner / supper / dessert
spring / summer / autumn fall / winter
hourly / daily day / weekly week / fortnightly / monthly month / quarterly quarter /
yearly annual annually year
second / minute / hour / day / week / month / year / decade / century
first / second / third / fourth / last
red / blue / green / yellow / orange / purple / pink / black / white / brown / grey gray
mother mum mom / father dad / brother / sister / son / daughter / husband / wife / uncle / aunt / cousin
boy / girl / man / woman
adult / child kid junior / teenager teen / senior pensioner / student / baby infant toddler
dog / cat / bird / fish / horse / rabbit / hamster
beginner beginners basic basics / intermediate / advanced expert experts
bronze / silver / gold / platinum
basic / standard / premium / professional / business / enterprise
economy / business / first
single / double / twin / family
personal / business / joint
credit / debit / prepaid
visa / mastercard / amex / paypal / bitcoin / cash / cheque check
savings / current / checking
domestic national / international abroad overseas
compulsory mandatory required obligatory / optional voluntary
allowed permitted legal lawful / banned prohibited forbidden illegal unlawful
include included / exclude excluded
eat take / avoid
before / after / during within
employed / unemployed / self-employed / retired
employer employee
landlord / tenant
buyer seller
lender borrower
teacher student
doctor patient nurse
author reader
landlord tenant
owner renter
full-time / part-time
fulltime parttime
fixed / variable
temporary / permanent
ascending / descending
asc desc
synonym / antonym
mean average / median / mode
sum / average / count / maximum max / minimum min
list / count / delete / update / insert
row rows / column columns
read / write
get / set
push / pull / merge / rebase / commit
dark / light
hot / cold / iced
raw / cooked
gas / electricity electric / water / broadband internet
petrol gasoline / diesel / electric / hybrid
car / bike bicycle / motorcycle motorbike / train / bus / plane flight / boat ferry / taxi
hotel / restaurant / flight / museum / beach
house / flat apartment / office / garage
kitchen / bathroom / bedroom / garden / living lounge / hallway / basement cellar / attic loft
oven / microwave / fridge refrigerator / freezer / dishwasher / stove hob / toaster / kettle / fryer airfryer
passport / visa / licence license / birth
windows / macos mac / linux ubuntu / android / iphone ios
iphone / ipad / android / macbook / pixel
chrome / firefox / safari / edge
python / java / javascript / typescript / rust / golang / ruby / php / kotlin / swift / perl / scala
pandas / numpy / polars
react / vue / angular / svelte
mysql / postgres postgresql / sqlite / mongodb / redis / oracle
docker / kubernetes
aws / azure / gcp
json / xml / yaml / csv / html / pdf / markdown / toml / excel / docx
png / jpg jpeg / gif / svg
email e-mail / phone / sms text / address / name / password / username / pin
facebook / instagram / twitter / tiktok / youtube / linkedin / whatsapp / snapchat / reddit
google / amazon / microsoft / apple / meta / netflix / tesla
english / french / german / spanish / italian / portuguese / dutch / chinese / japanese / korean /
arabic / russian / hindi / turkish
england / france / germany / spain / italy / portugal / netherlands / china / japan / korea / india /
russia / canada / mexico / brazil / australia / usa america / uk britain / ireland / poland / sweden /
norway / denmark / greece / turkey / egypt
london / paris / berlin / madrid / rome / tokyo / beijing / delhi / moscow / toronto / sydney / boston /
chicago / seattle / dallas / miami / denver
dollar dollars usd / euro euros eur / pound pounds gbp / yen jpy / rupee rupees inr
population / area / capital / president / currency / language / flag / weather
height / weight / age / length / width / depth
cost price / weight / size / colour color / speed
president / king / queen / mayor / minister / governor / ceo / founder
cause causes / symptom symptoms / treatment / cure / prevention / diagnosis
born birth / died death
history / future
breakfast / lunch / dinner
beef / chicken / pork / lamb / fish / tofu
vegan / vegetarian
rice / pasta / bread / potato potatoes
milk / water / juice / tea / coffee / beer / wine
headache / fever / cough / cold / flu / rash
paracetamol / ibuprofen / aspirin
diabetes / asthma / cancer / arthritis
knee / hip / shoulder / back / ankle / wrist / elbow
left / right
ctrl / alt / shift
north / south / east / west
football / basketball / baseball / tennis / cricket / rugby / hockey / golf
novel / poem / essay / story / song / letter / speech
formal / informal / casual
solid / liquid
sender / recipient
incoming / outgoing
inbound / outbound
arrival arrive / departure depart
deposit / withdrawal
profit / loss
asset / liability
revenue / cost
gross / net
supply / demand
import / export
parent / guardian
primary / secondary
bachelor undergraduate / master postgraduate / doctorate phd
cancel / renew / change / order / book / pause / upgrade / downgrade
open / close / freeze
apply / cancel / renew
early / late / on-time
faster / slower
more / less / fewer
most / least
highest / lowest
increase raise / reduce decrease lower
working works / broken faulty fault
public / private hide hidden
stable / beta / nightly
dev development / staging / production prod
startup / liveness / readiness
client / server
local / remote
global / local
encrypt / decrypt / hash
serial / parallel
synchronous sync / asynchronous async
inner / outer / left / right / cross
full / part / half
pause / resume
cover include / exclude
benefit advantage / downside drawback
legally lawfully / illegally unlawfully
increase raise more larger bigger higher / decrease reduce less fewer smaller lower
outstanding excellent / inadequate poor
short brief / detailed long
nearest closest / cheapest / fastest / largest biggest
subway metro underground / bus / tram / train
pending / cancelled canceled / declined rejected refused / reverted returned refunded
transfer transferred / withdraw withdrawal withdrew / deposit deposited / exchange
stolen / lost missing
virtual / physical / disposable
score / limit / balance
income salary earnings / tax taxes
read / set
stack / queue / heap / tree / graph / list / dict / set / tuple / array
"""


def _apart(lines: Iterable[str]) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    for number, line in enumerate(lines):
        sides = line.split("/") if "/" in line else line.split()
        for at, side in enumerate(sides):
            for word in side.split():
                found.setdefault(stem(word), []).append((number, at))
    return found


_NONE: frozenset[str] = frozenset()
_MEANING: dict[str, set[str]] = {}
for _words in _SAME_LINES:
    for _word in _words:
        _MEANING.setdefault(stem(_word), set()).add(_words[0])
_SIDES = _apart(_APART.strip().replace(" /\n", " / ").splitlines())


def meaning(one: str, other: str) -> bool:
    """Whether two stems say the same."""
    return one == other or not _MEANING.get(one, _NONE).isdisjoint(_MEANING.get(other, _NONE))


def contrasts(one: str, other: str) -> bool:
    """Whether two stems exclude each other."""
    there = dict(_SIDES.get(other, ()))
    return any(there.get(number, at) != at for number, at in _SIDES.get(one, ()))
