"""What mail programs write around a quote, by language: data for `quotes`.

Adding a language is adding a row. All is compared in lower case.
"""

from typing import NamedTuple


class Language(NamedTuple):
    """`opens`: first words of "On ... wrote:"; `verbs`: its verb, wherever it stands.

    `sender`, `sent`, `to`, `subject`: the labels of a quoted header. `marks`: what stands between
    dashes over a quoted mail. `footers`: how a device's own line begins; `ends`: how it ends
    instead.
    """

    opens: str = ""
    verbs: str = ""
    sender: str = ""
    sent: str = ""
    to: str = ""
    subject: str = ""
    marks: str = ""
    footers: str = ""
    ends: str = ""


# The phrases of one field are separated by "|".
LANGUAGES: dict[str, Language] = {
    "en": Language(
        "on",
        "wrote|writes|a wrote",
        "from",
        "sent|date|sent on|date sent",
        "to|cc|bcc",
        "subject",
        "original message|forwarded message|reply message|original email|original appointment"
        "|forwarded by|begin forwarded message|start of forwarded message",
        "sent from my|sent via|sent with|sent from mail|sent from outlook|sent from yahoo"
        "|sent from samsung|sent from gmail|sent from proton|sent from bluemail|sent from typeapp"
        "|get outlook for|get typeapp for|sent from windows|sent from nine|sent using",
    ),
    "de": Language(
        "am|vom",
        "schrieb|hat geschrieben",
        "von",
        "gesendet|datum|gesendet am",
        "an|kopie",
        "betreff",
        "ursprüngliche nachricht|originalnachricht|weitergeleitete nachricht|original-nachricht"
        "|anfang der weitergeleiteten nachricht|ursprüngliche mail",
        "gesendet von|von meinem|gesendet mit|diese nachricht wurde von meinem"
        "|holen sie sich outlook"
        "|outlook für ",
    ),
    "fr": Language(
        "le",
        "a écrit|écrit",
        "de|expéditeur",
        "envoyé|envoyé le|date|message du",
        "à|a|pour|destinataire|copie à",
        "objet|sujet",
        "message d'origine|message d’origine|message original|message transféré|message initial"
        "|début du message transféré|message réexpédié|courriel original",
        "envoyé de mon|envoyé depuis|envoyé à partir de|télécharger outlook|obtenez outlook"
        "|envoyé avec|obtenir outlook",
    ),
    "es": Language(
        "el",
        "escribió|escribio|ha escrito",
        "de",
        "enviado|enviado el|fecha",
        "para|a",
        "asunto",
        "mensaje original|mensaje reenviado|inicio del mensaje reenviado",
        "enviado desde|enviado con|obtener outlook|descargar outlook|enviado mediante",
    ),
    "it": Language(
        "il|in data|il giorno",
        "ha scritto|scrive",
        "da",
        "inviato|data|inviato il",
        "a",
        "oggetto",
        "messaggio originale|messaggio inoltrato|inizio messaggio inoltrato",
        "inviato da|inviato dal|scarica outlook|ottieni outlook|inviato con",
    ),
    "pt": Language(
        "em|no dia",
        "escreveu",
        "de",
        "enviado|enviada|enviada em|enviado em|data",
        "para",
        "assunto",
        "mensagem original|mensagem encaminhada|início da mensagem encaminhada",
        "enviado do|enviado a partir|enviado de|obter o outlook|enviado pelo",
    ),
    "nl": Language(
        "op",
        "schreef|heeft geschreven|het volgende geschreven",
        "van",
        "verzonden|datum|verstuurd",
        "aan",
        "onderwerp",
        "oorspronkelijk bericht|doorgestuurd bericht|origineel bericht|begin doorgestuurd bericht",
        "verzonden vanaf|verstuurd vanaf|verzonden met|verzonden van|outlook voor "
        "|download outlook",
    ),
    "sv": Language(
        "den",
        "skrev",
        "från",
        "skickat|datum|skickad",
        "till",
        "ämne",
        "ursprungligt meddelande|vidarebefordrat meddelande|originalmeddelande"
        "|vidarebefordrat brev",
        "skickat från|hämta outlook|skaffa outlook",
    ),
    "da": Language(
        "den|d.",
        "skrev|har skrevet",
        "fra",
        "sendt|dato",
        "til",
        "emne",
        "oprindelig besked|oprindelig meddelelse|oprindelig mail|videresendt besked"
        "|videresendt meddelelse|start på videresendt besked",
        "sendt fra|hent outlook|få outlook",
    ),
    "no": Language(
        "den|på",
        "skrev",
        "fra",
        "sendt|dato",
        "til",
        "emne",
        "opprinnelig melding|videresendt melding|original melding",
        "sendt fra|last ned outlook|skaff deg outlook",
    ),
    "fi": Language(
        "",
        "kirjoitti",
        "lähettäjä",
        "lähetetty|päivämäärä|päiväys",
        "vastaanottaja",
        "aihe|otsikko",
        "alkuperäinen viesti|välitetty viesti",
        "lähetetty |hanki outlook",
    ),
    "pl": Language(
        "w dniu|dnia",
        "napisał|napisała|napisał(a)|napisał/a|pisze|użytkownik",
        "od",
        "wysłano|data|wysłane",
        "do",
        "temat",
        "wiadomość oryginalna|oryginalna wiadomość|treść przekazanej wiadomości"
        "|przekazana wiadomość|wiadomość przekazana|wiadomość pierwotna",
        "wysłane z|wysłano z|pobierz program outlook|pobierz outlook",
    ),
    "cs": Language(
        "dne",
        "napsal|napsala|napsal(a)|napísal|napísal(a)",
        "od|odesílatel",
        "odesláno|datum|odoslané",
        "komu",
        "předmět|predmet",
        "původní zpráva|původní e-mail|přeposlaná zpráva|pôvodná správa",
        "odesláno z|odoslané z|získejte outlook|stáhnout outlook",
    ),
    "ru": Language(
        "",
        "написал|написала|написал(а)|написал:|пишет|писал|писал(а)",
        "от|от кого",
        "отправлено|дата|послано",
        "кому",
        "тема",
        "исходное сообщение|оригинальное сообщение|пересылаемое сообщение|пересланное сообщение"
        "|первоначальное сообщение|перенаправленное сообщение|конец пересылаемого сообщения",
        "отправлено с|отправлено из|отправлено от|получить outlook|скачать outlook"
        "|получите outlook",
    ),
    "uk": Language(
        "",
        "написав|написала|написав(-ла)|пише|написав(ла)",
        "від|від кого",
        "надіслано|дата|відправлено",
        "кому",
        "тема",
        "оригінальне повідомлення|переслане повідомлення|вихідне повідомлення"
        "|пересилається повідомлення|початкове повідомлення",
        "надіслано з|надіслано із|відправлено з|отримати outlook",
    ),
    "hu": Language(
        "",
        "írta|ezt írta|a következőt írta",
        "feladó|küldő",
        "elküldve|dátum|küldve|küldés dátuma",
        "címzett",
        "tárgy",
        "eredeti üzenet|továbbított üzenet|továbbított levél",
        "elküldve |küldve |az outlook ",
    ),
    "ro": Language(
        "în|pe|la data|la",
        "a scris",
        "de la|expeditor",
        "trimis|data|trimisă",
        "către|catre",
        "subiect|subiectul",
        "mesaj original|mesajul original|mesaj redirecționat|mesaj redirectionat",
        "trimis de pe|trimis din|obțineți outlook",
    ),
    "tr": Language(
        "",
        "yazdı|şunları yazdı|tarihinde şunu yazdı|şunu yazdı|şöyle yazdı",
        "kimden|gönderen",
        "gönderildi|tarih|gönderilme tarihi|gönderme tarihi",
        "kime|alıcı",
        "konu",
        "orijinal mesaj|özgün ileti|iletilen mesaj|orijinal ileti|iletilmiş mesaj"
        "|yönlendirilen ileti",
        "iphone'umdan|ipad'imden|outlook'u edinin",
        "gönderildi",
    ),
    "el": Language(
        "στις|την",
        "έγραψε",
        "από",
        "στάλθηκε|ημερομηνία|εστάλη",
        "προς",
        "θέμα",
        "αρχικό μήνυμα|προωθημένο μήνυμα|πρωτότυπο μήνυμα",
        "στάλθηκε από|εστάλη από",
    ),
    "zh": Language(
        "在|于|於",
        "写道|寫道|写到",
        "发件人|寄件者|寄件人|發件人",
        "发送时间|日期|寄件日期|發送時間|时间|傳送時間|发送日期",
        "收件人|收件者",
        "主题|主旨|主題",
        "原始邮件|原始郵件|转发的邮件|轉寄的郵件|转发邮件信息|回复的原邮件|原始訊息",
        "发自|發自|從我的|从我的|获取 outlook|获取outlook",
    ),
    "ja": Language(
        "",
        "のメール|wrote|が書きました|は書きました|書きました|のメッセージ",
        "差出人|送信者|from",
        "送信日時|日時|日付|送信日",
        "宛先",
        "件名",
        "元のメッセージ|転送されたメッセージ|元のメール|オリジナルメッセージ|転送メッセージ",
        "outlook for ios を入手",
        "から送信",
    ),
    "ko": Language(
        "",
        "님이 작성|작성|님이 쓴 메시지|에 씀|님이 보냄",
        "보낸 사람|보낸사람|발신",
        "보낸 날짜|날짜|보낸날짜|보낸 시간",
        "받는 사람|받는사람|수신",
        "제목",
        "원본 메시지|원본 메일|전달된 메시지|원본메시지|전달된 메일",
        "나의 iphone에서",
        "에서 보냄",
    ),
}


def every(field: str) -> frozenset[str]:
    """The phrases of `field` in all languages."""
    found = [getattr(language, field) for language in LANGUAGES.values()]
    return frozenset(phrase for row in found for phrase in row.split("|") if phrase)
