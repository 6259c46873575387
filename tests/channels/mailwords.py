"""What people write in the mails of `mailworld`: data. Sentences of one row are parted by "|"."""

SAID = {
    "en": "Thanks, that works for me.|Could you also send the invoice for order 4711?|I called on 3 May and nobody answered.|The parcel was damaged: the lid is broken.|My address has changed, it is now 12 Mill Road.|Please let me know by Friday.",
    "de": "Danke, das passt so.|Können Sie mir noch die Rechnung schicken?|Am Montag bin ich nicht zu Hause.|Das Paket kam beschädigt an: der Deckel ist gebrochen.|Bitte geben Sie mir bis Freitag Bescheid.",
    "fr": "Merci, cela me convient.|Pouvez-vous aussi m'envoyer la facture ?|Le colis est arrivé abîmé : le couvercle est cassé.|Merci de me répondre avant vendredi.",
    "es": "Gracias, me va bien.|¿Pueden enviarme también la factura?|El paquete llegó dañado: la tapa está rota.|El lunes no estoy en casa.",
    "it": "Grazie, va bene così.|Potete mandarmi anche la fattura?|Il pacco è arrivato rotto: manca il coperchio.|Da lunedì sono in ferie.",
    "pt": "Obrigado, está bem assim.|Podem enviar também a fatura?|A encomenda chegou danificada: a tampa está partida.|De segunda a quarta não estou em casa.",
    "nl": "Bedankt, dat is goed.|Kunt u ook de factuur sturen?|Op maandag ben ik niet thuis.|Het pakket is beschadigd: het deksel is stuk.",
    "sv": "Tack, det blir bra.|Kan ni också skicka fakturan?|Den röda var trasig när den kom.|Hör gärna av er före fredag.",
    "da": "Tak, det er fint.|Kan I også sende fakturaen?|Den røde var i stykker.|Fra mandag er jeg på ferie.",
    "no": "Takk, det er fint.|Kan dere også sende fakturaen?|Den røde var ødelagt da den kom.",
    "fi": "Kiitos, se sopii.|Voisitteko lähettää myös laskun?|Paketti oli rikki: kansi puuttuu.",
    "pl": "Dziękuję, pasuje mi to.|Czy mogą Państwo przysłać też fakturę?|Paczka przyszła uszkodzona: pokrywa jest pęknięta.|Od poniedziałku jestem na urlopie.",
    "cs": "Děkuji, to mi vyhovuje.|Můžete mi poslat i fakturu?|Balík přišel poškozený: víko je prasklé.|Od pondělí mám dovolenou.",
    "hu": "Köszönöm, így jó lesz.|El tudnák küldeni a számlát is?|A csomag sérülten érkezett: a fedél eltört.",
    "ro": "Mulțumesc, e bine așa.|Puteți trimite și factura?|Coletul a venit deteriorat: capacul e spart.",
    "tr": "Teşekkürler, bana uyar.|Faturayı da gönderebilir misiniz?|Paket hasarlı geldi: kapağı kırık.",
    "ru": "Спасибо, мне подходит.|Пришлите, пожалуйста, и счёт.|Посылка пришла повреждённой: крышка сломана.|От вас давно нет ответа.",
    "uk": "Дякую, мені підходить.|Надішліть, будь ласка, і рахунок.|Посилка прийшла пошкодженою: кришка зламана.",
    "bg": "Благодаря, така е добре.|Моля, изпратете и фактурата.|На понеделник не съм у дома.",
    "el": "Ευχαριστώ, με βολεύει.|Μπορείτε να στείλετε και το τιμολόγιο;|Το δέμα ήρθε χαλασμένο: το καπάκι έσπασε.",
    "zh": "谢谢，这样可以。|能把发票也发给我吗？|包裹到的时候已经坏了：盖子碎了。",
    "zh-TW": "謝謝，這樣可以。|可以也寄發票給我嗎？|包裹到的時候已經壞了：蓋子破了。",
    "ja": "ありがとうございます。それで結構です。|請求書も送っていただけますか。|荷物が壊れていました：蓋が割れています。",
    "ko": "감사합니다. 그렇게 해 주세요.|청구서도 보내 주실 수 있나요?|소포가 파손되어 왔습니다: 뚜껑이 깨졌어요.",
}  # fmt: skip
OLD = (
    "Hello,|we have sent your parcel today.|It should arrive within three working days, depending on where you "
    "live and on how busy the carrier is in this season.|Do you want us to keep the old one?|"
    "Kind regards,|The Shop team"
)
GREETINGS = {"en": "Best regards,", "de": "Mit freundlichen Grüßen", "fr": "Cordialement,", "es": "Un saludo,",
             "it": "Cordiali saluti", "nl": "Met vriendelijke groet,", "pl": "Pozdrawiam,", "ru": "С уважением,"}  # fmt: skip
PEOPLE = [("Shop", "help@shop.example"), ("Jean-Luc O'Brien", "jl.obrien@mail.support.example.com"),
          ("Müller, Anna (Service)", "anna.mueller+4711@service.example.org"),
          ("The Company With A Very Long Name Support", "support-desk-incoming@tickets.company.example")]  # fmt: skip
SIGNATURE = ["Ann Example", "Head of Things, Example Ltd", "+44 20 7946 0000 | www.example.org"]
LISTS = [
    "_______________________________________________",
    "users mailing list -- users@lists.example.org",
    "https://lists.example.org/mailman/listinfo/users",
]
# What looks like a mark and is none: it stands below other words of the writer.
TRAPS = [
    "On Monday I wrote:|please cancel order 12.|Nothing happened.",
    "On 3 March 2026 at 10:15 your driver came.|He said: come back later.",
    "On 3 March 2026 your colleague wrote:|we will call you.|Nobody called.",
    "From: Berlin|To: Paris|Date: 3 March 2026|Two adults, please.",
    "Name: Ann Example|E-mail: ann@example.org|Subject: broken lid|Please call me.",
    "Name: Ann Example|Phone: 020 7946 0000|Date: 2026-03-03 10:15|Please call me.",
    "Your manual says:|Sent from my iPhone means that it was sent from an iPhone.|Is that so?",
    "My options:|-- red|-- blue|-- green|Which is best?",
    "Order   Price|------------------|A-17    12.00|B-3      7.00",
    "-----|First, the lid is broken.|-----|Second, the box is empty.",
    "I wrote to ann@example.org on 2026-03-03 at 10:15:|no answer so far.",
    "The original message is gone.|Begin again?",
    "Original message:|it is gone, please send it again.",
    "Am 3.3. um 10:15 war niemand da.|Bitte rufen Sie an.",
    "Am 3.3.2026 um 10:15 schrieb mir Ihr Kollege:|Bitte warten.|Ich warte noch.",
    "Le 3 mars, il a écrit : rien.|Que faire ?",
    "Von: Hamburg|Nach: Bremen|Zwei Personen.",
    "Fra mandag er jeg på ferie.|Til: alle",
    "See https://example.org/on-2026-03-03-ann-wrote: for more.|Thanks",
    "The clerk sent it from his phone.|Sent from the shop in Mill Road.",
    "I sent the pictures from my iPhone",
    "My phone is an iPhone 14",
    "Get me a new phone, please.",
    "Das Foto habe ich mit meinem Handy gesendet",
    "My meetings:|2026-03-03 10:15 Berlin|2026-03-04 11:00 Paris|Which one suits you?",
    "Please write to:|Ann Example <ann@example.org>|or call 020 7946 0000",
    "To: do|Subject: to change|That is my list.",
    "Log of yesterday:|10:15:36 login ann@example.org: failed|10:16:02 login ann@example.org: failed",
    "This is confidential, please tell nobody else about it, and note that I have not told my husband either so far.",
    "He asked: when?|She wrote:|never.",
    "Size: XL|Colour: red|Price: 12.00",
    "__init__ fails:|____|what now?",
    "On 3 March 2026 the driver wrote this:|nobody at home.|But I was at home.",
    "Ask|Ann Example <ann@example.org>|3.3.2026 10:15|who was there.",
    "|Please notify me if the virus scanner stopped my mail, which happened in error before.||It is confidential.",
    "|Name: Ann Example|E-mail: Ann <ann@example.org>|Date: 2026-03-03 10:15|Order: 4711||Please check.",
    "It prints|2026-03-03 10:15:36 ann@example.org login:|failed.",
    "We can meet|On Tuesday, 3 March 2026 at 10:15:|Berlin|On Wednesday, 4 March 2026 at 10:15:|Paris",
    "You wrote to me:||Dear Ann,|we sent it on 3 March 2026 at 10:15.||Is that true?",
    "|Ann Example|Example Ltd|Phone: 020 7946 0000|Mail: Ann Example <ann@example.org>|Hours: 9:00 - 10:00",
]  # fmt: skip
LEGAL = {
    "en": "This e-mail and any attachments are confidential and intended solely for the addressee. If you have received it in error, please notify the sender and delete it.",
    "de": "Diese E-Mail enthält vertrauliche oder rechtlich geschützte Informationen. Wenn Sie nicht der richtige Adressat sind oder diese E-Mail irrtümlich erhalten haben, informieren Sie bitte den Absender.",
    "fr": "Ce message et ses pièces jointes sont confidentiels et destinés à l'usage exclusif de leur destinataire. Si vous le recevez par erreur, merci d'avertir l'expéditeur et de le détruire.",
    "es": "Este mensaje es confidencial y va dirigido exclusivamente a su destinatario. Si lo ha recibido por error, le rogamos que lo notifique y lo elimine.",
    "it": "Questo messaggio è riservato ed è destinato esclusivamente al destinatario indicato. Se lo avete ricevuto per errore, vi preghiamo di cancellarlo; ne è vietato ogni uso.",
    "nl": "Dit bericht is vertrouwelijk en uitsluitend bestemd voor de geadresseerde. Als u het ten onrechte heeft ontvangen, verzoeken wij u het te vernietigen.",
}  # fmt: skip
