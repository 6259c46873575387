"""What is called alike in all languages, or is too little to stand in a row of each."""

# What runs where mails are written: a line of its own that names one, and says "sent", is no words.
DEVICES = (
    "iphon|ipad|ios|android|samsung|galaxy|huawei|honor|xiaomi|redmi|oppo|oneplus|pixel|nokia"
    "|motorola|sony|htc|blackberry|windows|lumia|wiko|outlook|yahoo|gmail|aol|proton|gmx|web.de"
    "|t-online|freenet|laposte|mail.ru|yandex|яндекс|почт|k-9|thunderbird|typeapp|bluemail"
    "|aqua mail|nine|spark|newton|edison|fairemail|mailbird|superhuman|airmail|zoho|tuta|fastmail"
    "|polymail|mailspring|workspace|mobil|mobile|smartphone|phone|handy|mailbox|inbox|boxer"
    "|tablet|device|gerät|appareil|dispositivo|apparaat|telefon|téléphone|телефон|смартфон|手机|手機|邮箱|スマート"
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
    "|this|that|these|dies|dieses|esto|ceci|cela|questo|isso|isto|dit|это"
)
# Who writes for himself, as no lawyer's paragraph does.
WRITERS = (
    "i|my|ich|mein|meine|mir|je|mon|ma|mes|yo|mi|mis|io|mio|mia|eu|meu|minha|ik|mijn|jag|jeg|я|мой"
)
