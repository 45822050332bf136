"""What a visible label says, in each language it speaks: that a picture was made with AI."""

from types import MappingProxyType

from limner.domain.errors import InvalidOption

DISCLOSURES = MappingProxyType(
    {
        "bg": "Създадено с ИИ",
        "cs": "Vytvořeno AI",
        "da": "AI-genereret",
        "de": "KI-generiert",
        "el": "Δημιουργήθηκε με ΤΝ",
        "en": "AI-generated",
        "es": "Generado con IA",
        "et": "Loodud TI-ga",
        "fi": "Tekoälyn luoma",
        "fr": "Généré par IA",
        "ga": "Ginte ag IS",
        "hr": "Generirano UI-jem",
        "hu": "MI által létrehozva",
        "it": "Generato con IA",
        "lt": "Sukurta DI",
        "lv": "Radīts ar MI",
        "mt": "Iġġenerat bl-IA",
        "nb": "KI-generert",
        "nl": "AI-gegenereerd",
        "pl": "Wygenerowano przez AI",
        "pt": "Gerado por IA",
        "ro": "Generat cu IA",
        "sk": "Vytvorené AI",
        "sl": "Ustvarjeno z UI",
        "sv": "AI-genererad",
        "tr": "Yapay zekâ ile üretildi",
        "uk": "Створено ШІ",
    }
)
"""The text by language (BCP 47, primary subtag)."""


def disclosure(language: str) -> str:
    """Return the text in a language, `de` or `de-AT`; raise InvalidOption naming the others."""
    text = DISCLOSURES.get(language.lower().partition("-")[0])
    if text is None:
        raise InvalidOption(
            f"There is no label in “{language[:20]}”. Choose from: {', '.join(DISCLOSURES)}."
        )
    return text
