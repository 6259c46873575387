"""What mail programs write around a quote, by language: data for `quotes`.

Adding a language is adding a row. All is compared in lower case.
"""

from typing import NamedTuple


class Language(NamedTuple):
    """`opens`: first words of "On ... wrote:"; `verbs`: its verb, wherever it stands.

    `sender`, `sent`, `to`, `subject`: the labels of a quoted header. `marks`: what stands between
    dashes over a quoted mail. `footers`: how a device's own line begins, whatever follows;
    `sends`: how one begins that names a device or a mail program; `ends`: how such a one ends
    instead. `legal`: words that lawyers write under mails. `quoting`: "Quoting" before an
    address, which needs no verb.
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
    sends: str = ""
    legal: str = ""
    quoting: str = ""


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
        "|forwarded by|begin forwarded message|start of forwarded message|forwarded email"
        "|please type your reply above this line|reply above this line|write above this line",
        "sent from my",
        sends="sent from|sent via|sent with|sent using",
        legal="disclaimer|confidential|intended recipient|intended solely|solely for|addressee"
        "|in error|privileged|unauthori|please notify|disclos|liability|virus",
        quoting="quoting |quote from |reply from ",
    ),
    "de": Language(
        "am|vom",
        "schrieb|hat geschrieben",
        "von",
        "gesendet|datum|gesendet am",
        "an|kopie",
        "betreff|thema",
        "ursprüngliche nachricht|originalnachricht|weitergeleitete nachricht|original-nachricht"
        "|anfang der weitergeleiteten nachricht|ursprüngliche mail",
        "",
        "gesendet|geschickt|verschickt|versendet",
        sends="gesendet von|gesendet mit|gesendet aus|gesendet vom|gesendet über"
        "|verschickt mit|verfasst mit",
        legal="vertraulich|bestimmungsgemäße|adressat|empfänger|irrtümlich|unbefugt"
        "|informieren sie bitte|vernichten|löschen sie|nicht gestattet"
        "|rechtlich geschützt",
        quoting="zitat von |zitiere ",
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
        "envoyé de mon|envoyé depuis mon",
        sends="envoyé de|envoyé depuis|envoyé à partir|envoyé avec|envoyé via"
        "|envoyé par|envoyé à l",
        legal="confidentiel|destinataire|par erreur|pièces jointes|usage exclusif"
        "|responsabilité|altéré|détruire|interdite|avertir",
        quoting="citation de |en réponse à ",
    ),
    "es": Language(
        "el",
        "escribió|escribio|ha escrito",
        "de",
        "enviado|enviado el|fecha",
        "para|a",
        "asunto",
        "mensaje original|mensaje reenviado|inicio del mensaje reenviado",
        "enviado desde mi",
        sends="enviado desde|enviado con|enviado mediante|enviado por",
        legal="confidencial|destinatario|por error|exclusivo|prohibid|privilegiad|notifi"
        "|elimin|protección de datos",
        quoting="citando a |mensaje citado por ",
    ),
    "it": Language(
        "il|in data|il giorno",
        "ha scritto|scrive",
        "da",
        "inviato|data|inviato il",
        "a",
        "oggetto",
        "messaggio originale|messaggio inoltrato|inizio messaggio inoltrato",
        "inviato dal mio",
        sends="inviato da|inviato dal|inviato con|inviato tramite",
        legal="riservat|confidenzial|destinatari|per errore|esclusivo|vietat|distrugg"
        "|cancellar|privacy",
        quoting="citando ",
    ),
    "pt": Language(
        "em|no dia",
        "escreveu",
        "de",
        "enviado|enviada|enviada em|enviado em|data",
        "para",
        "assunto",
        "mensagem original|mensagem encaminhada|início da mensagem encaminhada",
        "enviado do meu",
        sends="enviado do|enviado de|enviado a partir|enviado pelo|enviado com|enviado via",
        legal="confidencia|destinatário|por engano|por erro|exclusivo|proibid|privilegiad"
        "|elimin|apagar",
        quoting="citando |citação de ",
    ),
    "nl": Language(
        "op",
        "schreef|heeft geschreven|het volgende geschreven",
        "van",
        "verzonden|datum|verstuurd",
        "aan",
        "onderwerp",
        "oorspronkelijk bericht|doorgestuurd bericht|origineel bericht|begin doorgestuurd bericht",
        "verzonden vanaf mijn|verstuurd vanaf mijn|verzonden via mijn",
        sends="verzonden vanaf|verzonden van|verzonden met|verzonden via"
        "|verstuurd vanaf|verstuurd met",
        legal="vertrouwelijk|geadresseerde|ten onrechte|abusievelijk|uitsluitend"
        "|niet toegestaan|vernietig|aansprakelijk|bestemd",
        quoting="citeren ",
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
        "skickat från min",
        sends="skickat från|skickades från|skickat med",
        legal="konfidentiel|avsedd|mottagare|av misstag|sekretess|radera|otillåten",
        quoting="citerar |citat från ",
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
        "sendt fra min",
        sends="sendt fra|sendt med|sendt via",
        legal="fortrolig|tiltænkt|modtager|ved en fejl|slette|slet|uberettiget",
        quoting="citat af |citat ",
    ),
    "no": Language(
        "den|på",
        "skrev",
        "fra",
        "sendt|dato",
        "til",
        "emne",
        "opprinnelig melding|videresendt melding|original melding",
        "sendt fra min",
        sends="sendt fra|sendt med|sendt via",
        legal="konfidensiell|fortrolig|tiltenkt|mottaker|ved en feil|slett|uberettiget",
    ),
    "fi": Language(
        "",
        "kirjoitti",
        "lähettäjä",
        "lähetetty|päivämäärä|päiväys",
        "vastaanottaja",
        "aihe|otsikko",
        "alkuperäinen viesti|välitetty viesti",
        "",
        sends="lähetetty",
        legal="luottamuksel|vastaanottaja|erehdyksessä|tarkoitettu|tuhoa|poista",
    ),
    "pl": Language(
        "w dniu|dnia",
        "napisał|napisała|napisał(a)|napisał/a|pisze|użytkownik|wiadomość napisana",
        "od",
        "wysłano|data|wysłane",
        "do",
        "temat",
        "wiadomość oryginalna|oryginalna wiadomość|treść przekazanej wiadomości"
        "|przekazana wiadomość|wiadomość przekazana|wiadomość pierwotna",
        "wysłane z mojego",
        sends="wysłane z|wysłano z|wysłana z|wysłane za pomocą|wysłano za pomocą",
        legal="poufn|adresat|omyłkow|przeznaczon|zabronion|usunąć|przez pomyłkę",
        quoting="cytowanie |cytat ",
    ),
    "cs": Language(
        "dne",
        "napsal|napsala|napsal(a)|napísal|napísal(a)",
        "od|odesílatel",
        "odesláno|datum|odoslané",
        "komu",
        "předmět|predmet",
        "původní zpráva|původní e-mail|přeposlaná zpráva|pôvodná správa",
        "odesláno z mého|odoslané z môjho",
        sends="odesláno z|odesláno pomocí|odoslané z|odeslané z|odoslané pomocou",
        legal="důvěrn|dôvern|adresát|omylem|určen|zakázán|smazat|odstra",
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
        "отправлено с моего",
        sends="отправлено с|отправлено из|отправлено от|отправлено через",
        legal="конфиденциальн|адресат|получател|ошибочно|по ошибке|запрещен|предназначен|удалит",
        quoting="цитирую |цитирование ",
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
        "надіслано з мого|відправлено з мого",
        sends="надіслано з|надіслано із|надіслано через|відправлено з|відправлено із",
        legal="конфіденційн|адресат|одержувач|помилково|заборонен|призначен|видаліть",
    ),
    "hu": Language(
        "",
        "írta|ezt írta|a következőt írta",
        "feladó|küldő",
        "elküldve|dátum|küldve|küldés dátuma",
        "címzett",
        "tárgy",
        "eredeti üzenet|továbbított üzenet|továbbított levél",
        "",
        "küldve|küldött",
        sends="elküldve|küldve",
        legal="bizalmas|címzett|tévedésből|jogosulatlan|törölje|kizárólag",
    ),
    "ro": Language(
        "în|pe|la data|la",
        "a scris",
        "de la|expeditor",
        "trimis|data|trimisă",
        "către|catre",
        "subiect|subiectul",
        "mesaj original|mesajul original|mesaj redirecționat|mesaj redirectionat",
        "trimis de pe",
        sends="trimis de pe|trimis din|trimis cu|trimisă din",
        legal="confidenți|confidenţi|destinatar|din greșeală|exclusiv|interzis|ștergeți",
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
        "",
        "dan gönderildi|den gönderildi|u edinin|ü edinin",
        legal="gizli|alıcı|yanlışlıkla|yetkisiz|siliniz|muhatab",
    ),
    "el": Language(
        "στις|την",
        "έγραψε",
        "από",
        "στάλθηκε|ημερομηνία|εστάλη",
        "προς",
        "θέμα",
        "αρχικό μήνυμα|προωθημένο μήνυμα|πρωτότυπο μήνυμα",
        "στάλθηκε από το",
        sends="στάλθηκε από|εστάλη από|στάλθηκε με",
        legal="εμπιστευτικ|παραλήπτ|εκ παραδρομής|κατά λάθος|διαγράψ|απαγορεύ",
    ),
    "zh": Language(
        "在|于|於",
        "写道|寫道|写到",
        "发件人|寄件者|寄件人|發件人",
        "发送时间|日期|寄件日期|發送時間|时间|傳送時間|发送日期",
        "收件人|收件者",
        "主题|主旨|主題",
        "原始邮件|原始郵件|转发的邮件|轉寄的郵件|转发邮件信息|回复的原邮件|原始訊息",
        "发自我的|發自我的|從我的|从我的",
        sends="发自|發自|来自我的|來自我的|从我的|從我的",
        legal="机密|機密|保密|收件人|误收|誤收|删除|刪除",
    ),
    "ja": Language(
        "",
        "のメール|wrote|が書きました|は書きました|書きました|のメッセージ",
        "差出人|送信者|from",
        "送信日時|日時|日付|送信日",
        "宛先",
        "件名",
        "元のメッセージ|転送されたメッセージ|元のメール|オリジナルメッセージ|転送メッセージ",
        "",
        "から送信|で送信|を入手",
        legal="機密|宛先|誤って|削除",
    ),
    "ko": Language(
        "",
        "님이 작성|작성|님이 쓴 메시지|에 씀|님이 보냄",
        "보낸 사람|보낸사람|발신",
        "보낸 날짜|날짜|보낸날짜|보낸 시간",
        "받는 사람|받는사람|수신",
        "제목",
        "원본 메시지|원본 메일|전달된 메시지|원본메시지|전달된 메일",
        "",
        "에서 보냄|다운로드",
        legal="기밀|수신인|수신자|잘못|삭제",
    ),
}


# What runs where mails are written: a line of its own that names one, and says "sent", is no words.
DEVICES = (
    "iphon|ipad|ios|android|samsung|galaxy|huawei|honor|xiaomi|redmi|oppo|oneplus|pixel|nokia"
    "|motorola|sony|htc|lg|blackberry|windows|lumia|wiko|outlook|yahoo|gmail|aol|proton|gmx|web.de"
    "|t-online|freenet|orange|laposte|mail.ru|yandex|яндекс|почт|k-9|thunderbird|typeapp|bluemail"
    "|aqua mail|nine|spark|newton|edison|fairemail|mailbird|superhuman|airmail|zoho|tuta|fastmail"
    "|hey|polymail|mailspring|workspace|mobil|mobile|smartphone|phone|handy|mailbox|inbox|boxer|tablet|device|gerät"
    "|appareil|dispositivo|apparaat|telefon|téléphone|телефон|смартфон|手机|手機|邮箱|スマート"
)


# What a mail program's advertisement begins with, before the program and a link to it.
PROGRAMS = "outlook|typeapp|bluemail|aqua mail|yahoo mail|mailbird|mail.ru|proton mail"
GETS = (
    "get|download|holen sie|laden sie|hol dir|téléchargez|télécharger|obtenir|obtenez|obtener"
    "|obtenga|descargar|descarga|scarica|ottieni|obter|obtenha|baixar|hämta|skaffa|hent|få|last ned"
    "|skaff deg|hanki|lataa|pobierz|získejte|stáhněte|stáhnout|stiahnite|получить|получите|скачать"
    "|отримати|отримайте|szerezd|obțineți|obţineţi|descărcați|αποκτήστε|λήψη|获取|獲取|下载|取得"
)
# How such a line begins where its verb comes last ("ends"), if not with the device.
FOOTER_OPENS = "von meine|diese nachricht|diese mail|diese e-mail|az |나의 |내 |bu e-posta|bu ileti"


# Of whom people tell, and mail programs never.
TELLERS = (
    "i|we|he|she|they|my|your|our|his|her|their|ich|wir|mein|meine|meinem|meiner|ihr|ihre|ihrem"
    "|ihrer|unser|unsere|unserem|mir|uns|je|nous|mon|votre|notre|vos|nos|yo|nosotros|nuestro|su"
    "|io|noi|mio|mia|vostro|nostro|eu|nós|meu|minha|vosso|nosso|ik|wij|mijn|uw|jag|jeg|я|мы|мой|ваш"
)


def every(field: str) -> frozenset[str]:
    """The phrases of `field` in all languages."""
    found = [getattr(language, field) for language in LANGUAGES.values()]
    return frozenset(phrase for row in found for phrase in row.split("|") if phrase)
