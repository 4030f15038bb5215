"""Which language a text is in, by its small words, and which of its words deny something."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import NamedTuple

from .lists import words_of

__all__ = ["ENGLISH", "Language", "language_of"]


class Language(NamedTuple):
    """Words in small letters.

    ``small`` are those that can be left out or exchanged in a long text without changing what it says;
    "from", "before", "who" and "must" are not among them. ``negations`` deny what stands beside them.
    """

    name: str
    small: Set[str]
    negations: Set[str]


def _language(name: str, small: str, negations: str) -> Language:
    return Language(name, words_of(small), words_of(negations))


ENGLISH = _language(
    "English",
    """
    a an the of i me my mine you your yours we us our ours it its they them their theirs is are was were be
    been being am do does did done doing have has had having can could would may might should to that this
    these those there here as and so then than if in at with for on what which any also too just very really
    quite actually currently please kindly possibly maybe perhaps well like want need let get gets got now
    still already hello hi hey dear thanks thank thankful regards sincerely cheers greetings
    lot much many bit tell know say show give explain wonder wondering following such about
    """,
    "not no never none nobody nothing neither nor without",
)
_OTHERS = (
    _language(
        "German",
        """
        der die das den dem des ein eine einen einem einer eines ich mich mir mein meine meinen meinem meiner
        du dich dir dein deine er ihn ihm sie es wir uns unser unsere unseren ihr ihre ihren ihrem ihrer euch
        man sich ist sind war waren bin bist sein wäre habe hat haben hatte hatten hätte wird werden wurde
        würde würden kann können könnte könnten möchte möchten und auch bitte dass daß zu zum zur im am in an
        auf von vom bei beim mit für da daher dann denn so sehr noch schon doch mal eben leider als wenn
        diese dieser dieses diesen diesem welche welcher welches welchen was gerne vielen dank danke hallo
        guten tag sehr geehrte geehrter damen herren liebe lieber freundlichen grüßen sagen
        """,
        "nicht kein keine keinen keinem keiner keines nie niemals niemand nichts ohne weder nirgends",
    ),
    _language(
        "French",
        """
        le la les l un une des du de d je j me m moi mon ma mes tu te t toi ton ta tes il elle on se s son sa
        ses nous notre nos vous votre vos ils elles leur leurs est sont était étaient suis es sommes êtes être
        ai as a ont avons avez avoir avait peux peut pouvez pouvons pourriez pourrait voudrais voudrait
        aimerais veux et aussi que qu ce cet cette ces c ça dans en à au aux pour par sur y très bien si donc
        alors avec comme quel quelle quels quelles plaît bonjour merci beaucoup avance réponse cordialement
        ne n savoir dire
        """,
        "pas jamais sans aucun aucune rien personne ni non",
    ),
    _language(
        "Spanish",
        """
        el la los las lo un una unos unas de del al a yo me mí mi mis tú te ti tu tus él ella se su sus
        nosotros nos nuestro nuestra nuestros ustedes le les es son era eran soy eres está están estoy estaba
        ser estar he ha han hemos haber había puedo puede pueden podría podrían quiero quisiera querría y e
        también que en por para con muy si pues entonces como este esta estos estas ese esa esto eso qué cuál
        cuáles hay favor hola gracias muchas buenos días saludos decir saber
        """,
        "no nunca jamás sin ningún ninguna ninguno nadie nada tampoco ni",
    ),
    _language(
        "Italian",
        """
        il lo la i gli le l un uno una di d del dello della dei degli delle al allo alla ai agli alle io mi me
        mio mia miei mie tu ti te tuo tua lui lei si ci noi nostro nostra voi vi vostro vostra loro è sono era
        erano sei siamo essere ho hai ha hanno abbiamo avere posso può possono potrei potrebbe vorrei voglio e
        ed anche che c in nel nella nei a da dal dalla su sul sulla per con molto se allora come questo questa
        questi queste quale quali cosa favore ciao buongiorno grazie mille saluti dire sapere
        """,
        "non mai senza nessun nessuno nessuna niente nulla né",
    ),
    _language(
        "Portuguese",
        """
        o a os as um uma uns umas de do da dos das ao à aos às eu me mim meu minha meus minhas tu te você
        vocês ele ela eles elas se seu sua seus suas nós nos nosso nossa é são era eram sou está estão estou
        ser estar tenho tem têm temos ter havia posso pode podem poderia gostaria quero e também que em no na
        nas por para pelo pela com muito se então como este esta isto esse essa isso qual quais favor olá
        obrigado obrigada bom boa dia tarde cumprimentos dizer saber
        """,
        "não nunca jamais sem nenhum nenhuma ninguém nada nem tampouco",
    ),
    _language(
        "Dutch",
        """
        de het een ik me mij mijn jij je jou jouw u uw hij hem zijn zij ze haar wij we ons onze jullie hun is
        was waren ben bent heb heeft hebben had hadden wordt worden werd kan kunnen kunt zou zouden wil wilt
        graag en ook dat dit deze die in op aan van voor met bij te zeer heel al nog dan er als zo welke wat
        alstublieft hallo goedemiddag goedemorgen beste dank bedankt groeten zeggen weten
        """,
        "niet geen nooit niemand niets zonder noch",
    ),
)


_VOTES: dict[str, list[int]] = {}
for _at, _each in enumerate((ENGLISH, *_OTHERS)):
    for _word in _each.small | _each.negations:
        _VOTES.setdefault(_word, []).append(_at)


def language_of(words: Iterable[str]) -> Language:
    """The language that most of the words belong to; English unless another has two more of them.

    One small word may be part of a name: "Los Angeles", "Die Hard".
    """
    votes = [1] + [0] * len(_OTHERS)
    for word in words:
        for at in _VOTES.get(word, ()):
            votes[at] += 1
    return (ENGLISH, *_OTHERS)[votes.index(max(votes))]
