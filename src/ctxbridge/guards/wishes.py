"""The words and phrases of opt-out, by language. Data: what is done with it stands in `opt_out`.

All in the form that `words.plain` gives: lower case, without accents. The notation of the phrases
is that of `words`.
"""
# ruff: noqa: E501 - a phrase is one line

STOP_WORDS_BY_LANGUAGE = {
    "en": (
        "stop", "stopall", "stop all", "unsubscribe", "optout", "opt out", "revoke", "remove",
        "remove me", "unsubscribe me",
    ),
    "fr": (
        "arret", "arreter", "arretez", "desabonner", "desabonnez moi", "desinscrire",
        "desinscription", "desabonnement", "me desabonner", "se desabonner", "se desinscrire", "me desinscrire", "stop sms",
    ),
    "es": ("alto", "parar", "baja", "darme de baja", "dar de baja", "desuscribir", "dame de baja"),
    "de": ("stopp", "abmelden", "abbestellen", "austragen", "abmeldung", "stop sms"),
    "it": ("disiscrivi", "disiscrivimi", "disiscrizione", "annulla iscrizione", "cancellami"),
    "nl": ("afmelden", "uitschrijven", "meld me af", "schrijf me uit", "stoppen"),
    "pt": ("sair", "parar", "remover", "descadastrar", "cancelar inscricao", "me remova"),
    "pl": ("wypisz", "wypisz mnie", "rezygnuje", "rezygnacja", "usun mnie"),
}  # fmt: skip

STOP_WORDS_ON_PHONES_BY_LANGUAGE = {
    "en": ("cancel", "end", "quit"),
    "es": ("cancelar",),
    "it": ("cancella",),
    "pt": ("cancelar",),
}
"""Ordinary answers elsewhere; to a number they mean STOP, to providers or to people."""

START_WORDS_BY_LANGUAGE = {
    "en": ("start", "unstop", "resubscribe"),
    "fr": ("me reabonner", "reabonnez moi"),
    "es": ("reanudar mensajes",),
    "de": ("wieder anmelden",),
    "it": ("riattiva messaggi",),
    "nl": ("opnieuw aanmelden", "weer aanmelden"),
    "pt": ("reativar mensagens",),
    "pl": ("wznow wiadomosci",),
}
"""Few, and none that could answer a bot's question: an opt-in must not come about by chance."""

HELP_WORDS = frozenset({"help", "info", "aide", "ayuda"})

_EN = "texts|text|messages|message|emails|email|mails|mail|spam|sms|newsletters|newsletter|ads|offers|promotions|promos|notifications|alerts|marketing|junk|stuff"
_DE = "nachrichten|nachricht|sms|mails|mail|emails|email|newsletter|werbung|werbemails|werbenachrichten|angebote|textnachrichten"
_FR = "messages|message|sms|textos|mails|mail|emails|email|courriels|publicites|publicite|pub|newsletters|newsletter|spams|notifications|offres"
_ES = "mensajes|mensaje|sms|correos|correo|emails|email|publicidad|promociones|ofertas|notificaciones|spam|textos|newsletter|boletines"
_IT = "messaggi|messaggio|sms|email|mail|pubblicita|newsletter|promozioni|notifiche|spam|offerte"
_PT = "mensagens|mensagem|sms|emails|email|publicidade|promocoes|notificacoes|spam|ofertas|propaganda|newsletter"
_NL = "berichten|berichtjes|bericht|sms|smsjes|mails|mail|emails|email|reclame|nieuwsbrief|nieuwsbrieven|spam|aanbiedingen|appjes|meldingen"
_PL = "wiadomosci|smsow|smsy|sms|maili|maile|emaili|reklam|reklamy|newslettera|newsletter|ofert|powiadomien|spamu|spam"

WISHES = {
    "en": (
        "stop|quit|cease texting|messaging|emailing|mailing|contacting|calling|writing|spamming|bothering|bugging|harassing|pestering|sms to? me|us|this|my",
        f"stop|quit|cease sending me|us? all|so|any? these|those|this|your|the|many|more? marketing|promo|promotional|stupid? {_EN}",
        f"stop all? of? the|these|those|your|all|this marketing|text|promotional? {_EN}",
        f"! no more of? your|these|marketing|promotional? {_EN}",
        "remove|delete|drop|take|get me|us from|off|out of? your|the|this|all|any marketing|mailing|email|text|sms|contact|call|calling? list|lists|database|contacts|system|texts|messages|emails|newsletter|distribution",
        "remove|delete|take my number|email|phone|address|details|name|mail number|address? from|off of? your|the|this|all|any marketing|mailing|email|text|sms|contact|call|calling? list|lists|database|contacts|system|records",
        "please|pls|plz|just|and remove me .|please|pls|thanks",
        "cease all|any communication|communications|contact",
        "unsubscribe me|us|from|now|please|immediately|.",
        "unsubscribe this number|email|address",
        f"opt|opting out of|from receiving|getting? these|your|all|any|the? future|marketing|further? {_EN}",
        "want|like|wish|need|trying to opt out ,?|. .?",
        "opt me|us out .|please|now|immediately",
        "not|dont|never|nor text|message|email|contact|call|write|sms|mail to? me|us again|anymore|ever|further|at|any",
        "not|dont text|message|email|contact me|us .|please",
        "not|dont text|message|email|contact this number|address",
        f"not|dont want|wish|like|need to? receive|receiving|get|have|see? any? more|further|future? of? your|these|those|such|the|this? marketing|promo|promotional? {_EN}",
        f"no longer want|wish|like to? receive|get|receiving|have? any|your|these|those|this? marketing|promotional? {_EN}",
        "not|dont want|wish|like to? hear|hearing from you|u|your again|anymore|any|ever|.",
        "not|dont want to be contacted|texted|messaged|called|emailed by|again|anymore|any|ever|.",
        "leave me|us alone",
        "lose|forget my number",
        f"cancel my|the|these|all|your text|sms|message|email|marketing|{_EN} {_EN}|subscription",
        "revoke|revoking|withdraw|withdrawing my|all? consent|permission",
        ". stop ,? it? ,? please|pls|plz|now|already|thanks? .",
        ". please|pls|plz|just ,? stop|unsubscribe it|this|now? .",
        "said|told stop|you? to? stop? .",
    ),
    "de": (
        "hor|hort|hore|horen|horts sie|bitte|doch? bitte|endlich? auf|bitte auf? ,? damit? ,? mir|uns|mich|meine? _? _? zu? schreiben|schicken|senden|texten|belastigen|nerven|kontaktieren|anzuschreiben|zuzuschicken|anzurufen|zuzusenden|spammen|simsen|zuspammen|zuzuspammen",
        f"! keine weiteren|weitere|solche|eurer|ihrer? {_DE} mehr",
        f"! keine weiteren|weitere {_DE}",
        f"mochte|will|wunsche|mag|wollen|mochten|brauche ich|wir? bitte? keine weiteren|weitere|solche|eure|ihre? {_DE}",
        "schreib|schreibt|schreiben|schick|schickt|schicken|senden|sende|sendet|kontaktieren|kontaktiert|kontaktiere|simst sie|ihr? mir|uns|mich bitte? nicht|nichts|nie mehr|wieder .|,|bitte",
        f"schick|schickt|schicken|senden|sende|sendet sie? mir|uns bitte? keine mehr|weiteren? {_DE}",
        "nehmt|nehmen|nimm|streichen|streicht|streiche|loschen|loscht|losche|entfernen|entfernt|entferne|tragen|tragt sie? mich|uns|meine bitte? nummer|adresse|daten|handynummer|email|mailadresse? bitte|sofort? aus|von eurer|eurem|ihrer|ihrem|der|dem|deiner|allen _? liste|verteiler|datenbank|kontakten|mailingliste|newsletter|kontaktliste|system|listen|newsletterverteiler",
        "aus|von eurer|eurem|ihrer|ihrem|der|dem liste|verteiler|datenbank|mailingliste|kontaktliste|newsletter _? nehmen|streichen|loschen|entfernen|austragen|abmelden",
        f"mich|uns|newsletter|sms|meine|den|die|diese|eure|ihren von|vom|aus? allen|euren|ihren? nummer|{_DE}|verteiler|liste? abmelden|austragen|abbestellen|streichen",
        "melden|melde|meldet|tragen|tragt sie? mich|uns bitte? sofort? vom|von|aus|wieder? _? _? ab|aus",
        "verschont|verschonen|verschone sie? mich|uns mit|bitte",
        "lasst|lass|lassen sie? mich|uns bitte|endlich? in ruhe|frieden",
        "widerrufe|widerrufen|ziehe hiermit? _? _? einwilligung|zustimmung|erlaubnis",
        "nicht mehr von? euch|ihnen|dir? kontaktiert|angeschrieben|belastigt|kontaktieren|anschreiben|angerufen|anrufen|anzuschreiben|texten",
        "mir|mich|uns bitte? nicht|nie mehr|wieder schreiben|texten|simsen|kontaktieren|anschreiben|anrufen",
        f"stopp|stop|stoppt|stoppen|beenden|beendet|stoppe|lasst sie? bitte? die|diese|eure|ihre|alle|den|mit? {_DE}",
        "stopp|stop mit den|diesen|euren|ihren nachrichten|sms|mails|emails|newsletter",
        ". bitte? stop|stopp|aufhoren|abmelden|stoppen ,? bitte|jetzt? .",
    ),
    "fr": (
        f"arretez|arrete|cessez|cesse|stoppez|stop de|d m? me|nous|d|de? m? envoyer|contacter|ecrire|texter|spammer|harceler|deranger|appeler|solliciter|embeter {_FR}|des|vos|ces|tous|.|,|svp|par|s|sur|a",
        f"arretez|arrete|cessez|stoppez|stop|stopper|arreter avec? vos|ces|les|tes|tous|toutes|ce|cette vos|ces|les? {_FR}",
        f"! plus de|d|vos|ces|aucun|aucune vos|ces? {_FR} .|,|svp|de|s|publicitaires|merci",
        f"ne veux|souhaite|desire|voudrais|souhaitons|voulons plus|pas recevoir|etre|avoir de|d|vos|ces|aucun|aucune|contacte|contactee? vos|ces? {_FR}|par|.",
        f"ne veux|souhaite|voulons plus|pas de|d|vos|ces {_FR}",
        "ne m|me|nous ecrivez|contactez|envoyez|appelez|ecris|contacte|envoie|textez|recontactez plus|jamais",
        "ne m|me|nous ecrivez|contactez|ecris|contacte|textez|recontactez pas .|,",
        "ne plus me|m|nous|etre|recevoir contacter|ecrire|envoyer|recevoir|contacte|contactee|appeler|vos|de|solliciter|aucun|ces",
        "retirez|enlevez|supprimez|retire|enleve|supprime|rayez|effacez|radiez|retirer|supprimer|enlever moi|mon|me|mes de|numero|adresse|coordonnees|email|mail mail|email|telephone? de|du|des|la|votre|vos? la|votre|vos|toutes|ta? _? liste|listes|base|fichier|fichiers|contacts|repertoire|diffusion|donnees",
        "etre|me retire|retiree|retirer|enlever|supprime|supprimee|raye|rayer de|du la|votre|vos|cette liste|fichier|listes|base|fichiers",
        "desabonnez|desinscrivez|desabonne|desinscris moi|nous",
        "me|nous desabonner|desinscrire .|svp|,|s|immediatement",
        f"me|nous desabonner|desinscrire de|des|du|d|a vos|la|votre|cette|ces|tous|toutes|l? vos? {_FR}|liste|listes",
        "laissez|laisse moi|nous tranquille|tranquilles|en",
        "fichez|foutez moi la paix",
        "retire|revoque|retirer mon consentement|accord|autorisation",
        "oubliez|perdez mon numero",
        ". stop|arretez|arrete|desabonnement ,? svp|merci|s|maintenant? il? te|vous? plait? .",
        ". svp ,? stop|arretez|desabonnement .",
    ),
    "es": (
        f"dejen|deje|deja|paren|pare|para|dejad|parad|basta de enviarme|mandarme|escribirme|contactarme|llamarme|enviarnos|molestarme|molestar|acosarme|textearme|enviar|mandar|escribir|spamearme ya|mas|tantos|tantas|estos|estas|sus|los|.|,|{_ES}|por|a|al|con|me",
        f"basta|dejen|paren|pare|alto|no de|a|con|mas|los|sus|estos|tantos|tantas tantos|tantas|sus|los|estos|mas? {_ES}",
        "no me|nos escriban|escriba|escribas|envien|envie|envies|manden|mande|mandes|contacten|contacte|contactes|llamen|llame|molesten|moleste|texteen mas|nada|nunca|ningun|ninguna|.|,",
        "no me|nos vuelvan|vuelva|vuelvas a escribir|contactar|llamar|enviar|mandar|molestar",
        f"harto|harta|hartos de|con tantos|tantas|sus|estos {_ES}",
        f"no quiero|deseo|queremos|deseamos|quisiera mas|recibir|seguir|que|sus|estos mas|recibiendo|sus|estos|ningun|este|me|ninguna|los|tantos? mas|tipo|sus|estos|contacten|envien|escriban|llamen|manden|contactes|escribas? de|sus? {_ES}|mas|.",
        "no quiero que|seguir me|nos|recibiendo|recibir contacten|envien|escriban|llamen|manden|contactes|escribas|escriba|mensajes|sms|publicidad|sus|estos|molesten",
        "ya no quiero|deseo|queremos recibir|sus|estos|mas|que|mensajes|sms|publicidad",
        f"! no mas {_ES}",
        "eliminen|elimine|elimina|borren|borre|borra|quiten|quite|quita|saquen|saque|saca|quitenme|quiteme|saquenme|saqueme|eliminenme|elimineme|borrenme|borreme|quitame|sacame|borrame|eliminame|retiren|retirenme mi|este|me? numero|correo|telefono|contacto|nombre|email|datos? de su|sus|la|tu|esta|vuestra|todas lista|listas|base|sistema|contactos|registros",
        "denme|deme|dame|darme|darnos|dar|dennos de baja|mi baja|.|numero? de|del|en|por|.|,|ya|inmediatamente su|sus|la|los|este|esta|estos|newsletter|boletin|lista|favor|.?",
        "cancelen|cancele|cancela|anulen|cancelar|anular mi|la|esta suscripcion|inscripcion a|de|al su|los|estos|newsletter|boletin|sms|mensajes",
        "dejenme|dejeme|dejame|dejadme en paz",
        "revoco|retiro mi consentimiento|autorizacion|permiso",
        "borren|olviden|olvide|pierdan mi numero",
        ". por? favor? ,? stop|baja|basta|paren|paralo ,? por|ya? favor|ya? .",
        "stop|paren|detengan con|los|estos|sus los|estos|sus? mensajes|sms|correos",
    ),
    "it": (
        "smettetela|smettila|smettete|smetti|smetta|basta|finitela|piantatela|piantala|smettere di mandarmi|scrivermi|inviarmi|contattarmi|chiamarmi|disturbarmi|messaggiarmi|spammarmi|inviare|mandare|scrivere|inviarci|tormentarmi|importunarmi",
        f"basta|stop con|ai|a|con|alle|coi|questi|i i|gli|questi|queste|le|vostri|tutti|tutte|la? vostri|vostre|questi? {_IT}",
        f"basta {_IT}",
        "non mi|ci scrivete|scriva|scrivere|scrivetemi|mandate|mandi|mandare|inviate|invii|inviare|contattate|contatti|contattare|chiamate|chiami|chiamare|disturbate|disturbi piu|mai|altri|altre|nulla|niente",
        "non scrivetemi|scrivermi|mandatemi|mandarmi|inviatemi|inviarmi|contattatemi|contattarmi|chiamatemi|chiamarmi piu|mai|altri|altre",
        f"non voglio|desidero|vogliamo|vorrei piu|altri|altre|ricevere|essere|vostri|questi|i|che ricevere|essere|altri|altre|piu|vostri|vostre|i|le|questi|mi? altri|altre|contattato|contattata|vostri|vostre|questi|piu|scriviate? {_IT}|da|.|piu|contattato",
        f"! niente|nessun piu|altri|altre|altro {_IT}",
        "toglietemi|toglimi|rimuovetemi|rimuovimi|cancellatemi|cancellami|eliminatemi|eliminami|levatemi|rimuovermi|cancellarmi|togliermi|eliminarmi subito|immediatamente? dalla|dalle|da|dai|dal vostra|vostre|tua|questa|tutte|vostri|vostro? _? lista|liste|mailing|elenco|contatti|database|rubrica|newsletter|sistema",
        "togliete|rimuovete|cancellate|eliminate|togliere|cancellare|rimuovere|elimina|cancella|rimuovi il|la|i mio|mia|miei numero|email|indirizzo|contatto|dati|nominativo _? _? dalla|dalle|da|dai|dal vostra|vostre|vostri|vostro|tua? _? lista|liste|mailing|elenco|contatti|database|rubrica|sistema|archivi",
        "disiscrivetemi|disiscrivimi|disiscrivermi|disiscriversi|cancellatemi|cancellami .|dalla|dalle|da|,|subito|per|dai|dal",
        f"annullare|annullate|annulla|disdire|cancellare la|l|mia iscrizione|sottoscrizione|mia ai|alla|alle|agli|a|iscrizione vostri|newsletter|{_IT}|questi",
        "lasciatemi|lasciami in pace|stare",
        "revoco|ritiro il mio|consenso consenso|.|,|al|alla",
        "dimenticate|perdete|scordatevi il|del mio numero",
        ". per? favore? ,? stop|basta|smettetela|smettila ,? per|adesso|grazie? favore? .",
    ),
    "nl": (
        f"stop|hou|houd|stoppen|ophouden|hou nu|eens|alsjeblieft|aub? op? met|om mij|me|ons? _? sms|appen|smsen|berichten|mailen|sturen|contacteren|bellen|schrijven|spammen|lastigvallen|{_NL} sturen|versturen|.|,|aub|alsjeblieft|van|alstublieft|te",
        "hou|houd|stop nu|eens|alsjeblieft|aub? op? met|om mij|me|ons _? _? te? appen|smsen|mailen|sturen|contacteren|bellen|schrijven|spammen|lastigvallen|vallen|benaderen|berichten|sms",
        f"! geen|nooit verdere|enkele? {_NL} meer",
        f"wil|wens|wensen|willen|hoef ik|wij|we? graag? geen|niet|nooit verdere|meer|langer|van? {_NL}|benaderd|gecontacteerd|gebeld meer|ontvangen|.|van|worden",
        "stuur|stuurt|sturen|app|mail|bel|sms|contacteer|benader|schrijf mij|me|ons alsjeblieft|aub|a? niet|niets|nooit meer|langer .|,|aub|alsjeblieft",
        f"stuur|stuurt mij|me|ons alsjeblieft|aub? geen|nooit verdere|meer? {_NL}",
        "haal|verwijder|schrap|gooi|haalt|verwijdert mij|me|ons|mijn alsjeblieft|aub|nummer|gegevens|adres|telefoonnummer|emailadres|mailadres|email? alsjeblieft|aub? van|uit|van jullie|uw|de|je|deze|alle? _? lijst|lijsten|mailinglijst|verzendlijst|mailinglist|bestand|systeem|database|contacten|adressenlijst|contactlijst",
        "schrijf|meld mij|me|ons alsjeblieft|aub|direct|a? uit|af|voor|van uit|af|voor|van|.|,|de|jullie",
        "mij|me|ons|mezelf uitschrijven|afmelden .|,|voor|van|aub|bij|uit",
        f"uitschrijven|afmelden voor|van|uit de|jullie|deze|alle|uw? {_NL}|lijst|mailinglijst",
        "laat mij|me|ons met|alsjeblieft met|rust rust|.",
        "laat mij|me|ons nu|eens|alsjeblieft? met rust",
        "trek mijn|hierbij mijn|toestemming toestemming|in in|.",
        "niet|nooit meer|langer benaderd|gecontacteerd|gebeld|contacteren|benaderen|appen|smsen|mailen",
        f"stop|stopt alsjeblieft|aub? met? deze|die|de|jullie|al? die|deze|jullie? {_NL}",
        "neem|neemt geen|nooit contact meer",
        "vergeet|verwijder mijn nummer .|,",
        ". stop|stoppen|afmelden|uitschrijven ,? aub|alsjeblieft|alstublieft|nu|hiermee? .",
        ". aub|alsjeblieft ,? stop|stoppen|afmelden .",
    ),
    "pt": (
        f"parem|pare|para|pararem|deixem|deixe|chega de|com me|enviar|mandar|enviarem|mandarem|mandarme|escrever|contatar|contactar|ligar|incomodar|perturbar|tantas|tantos|essas|estas|as|{_PT} enviar|mandar|escrever|contatar|contactar|ligar|incomodar|perturbar|enviarem|mandarem|me|mensagens|mensagem|emails|sms|.|,|spam|para|mais|tantas|publicidade",
        f"parem|pare|chega com|de|as|essas|estas|os|estes? as|essas|estas|os|esses|estes|suas|tantas|tanta? {_PT}",
        "nao me|nos mandem|mande|enviem|envie|escrevam|escreva|contatem|contate|contactem|contacte|liguem|ligue|perturbem|incomodem|mandes|envies|escrevas mais|nada|nunca",
        "nunca mais me|nos contactem|contatem|contactar|contatar|liguem|escrevam|mandem|enviem",
        f"nao quero|desejo|queremos|gostaria mais|receber|que|continuar|suas|essas|de? mais|receber|recebendo|suas|essas|estas|nenhuma|nenhum|me|a? mais|suas|essas|estas|esses|receber|contatem|enviem|contactem|mandem|nenhuma? {_PT}|mais",
        f"nao quero|desejo mais {_PT}|receber|suas|essas|contato",
        f"! nao mais {_PT}",
        f"! sem mais {_PT}",
        "tirem|tire|tira|removam|remova|remove|retirem|retire|excluam|exclua|apaguem|apague|eliminem|elimine|remover|retirar me|meu|o|minha|este|meus meu|minha|numero|email|contato|contacto|nome|telefone|dados|da|de|das|do|desta numero|email|contato|contacto|telefone|da|de|das|do|vossa|sua|suas|lista|dessa? da|de|das|do|dessa|vossa|sua|suas|lista|listas|base? sua|suas|vossa|vossas|lista|listas|base|sistema|contatos|contactos? lista|listas|base|sistema|contatos|contactos|cadastro|mailing|emails|transmissao",
        "me tirem|tire|tira|removam|remova|retirem|retire|excluam|exclua|descadastrem|descadastre|apaguem da|de|das|do|dessa|desta|. sua|suas|vossa|lista|todas|mailing|cadastro|esta|grupo|essa? lista|listas|base|mailing|cadastro|sistema|transmissao|.|,|emails?",
        "descadastrem|descadastre|descadastrar|desinscrever|desinscrevam me|minha|meu numero|email|cadastro|da|das|.|,|desta|dessa",
        f"cancelem|cancele|cancelar a|minha|a? subscricao|assinatura|inscricao de|da|das|dos|do|na|nas|nesta|desta|destes|neste suas|vossas|vossa? {_PT}|lista",
        "me descadastrar|desinscrever|descadastrem|descadastre|remover .|,|da|das|de|do|por",
        "deixem|deixe|deixa me|nos em paz",
        "me|nos deixem|deixe|deixa em paz",
        "revogo|retiro|revogar o? meu|minha|a consentimento|autorizacao|permissao|minha",
        "esquecam|apaguem|esqueca|percam o? meu numero",
        ". por? favor? ,? stop|pare|parem|sair|chega ,? por|ja? favor|ja? .",
    ),
    "pl": (
        f"przestancie|przestan|prosze|skonczcie|skoncz do|mi|mnie|juz|z|przestac mnie|mi|pisac|wysylac|przysylac|tymi|tym|wysylania|juz? pisac|wysylac|przysylac|nekac|dzwonic|spamowac|kontaktowac|{_PL}|do|wysylania mnie|do|mi|sie|tych|.|,|tego|te? {_PL}|.?",
        "przestancie|przestan|przestanie prosze|juz|wreszcie|pan? do|mi|mnie mnie|tego? pisac|wysylac|przysylac|nekac|dzwonic|spamowac|smsowac|pisania",
        "przestancie|przestan prosze? pisac|wysylac|przysylac|dzwonic|spamowac|nekac do|mi|mnie|te|tych|.",
        "prosze przestac do|mi|mnie|pisac|wysylac|przysylac",
        "nie piszcie|pisz|piszecie|wysylajcie|wysylaj|przysylajcie|przysylaj|dzwoncie|dzwon|kontaktujcie|kontaktuj|smsujcie|nekajcie do|mi|sie|juz|wiecej mnie|juz|wiecej|ze|zadnych|nic? mna|juz|wiecej|zadnych|wiecej|nic|.|,|smsow|tych",
        "prosze nie pisac|wysylac|przysylac|dzwonic|kontaktowac do|mi|sie|juz|wiecej|mnie _? wiecej|juz|mna|zadnych|.|,|do",
        "prosze do|mi mnie|wiecej|juz wiecej|juz|nie nie|pisac|wysylac|przysylac",
        "prosze o usuniecie|wypisanie|wykreslenie|niewysylanie|zaprzestanie|nieprzysylanie mnie|mojego|mi|wysylania|kontaktu|wiecej|z|numeru|wiadomosci|smsow",
        f"nie chce|zycze|chcemy|potrzebuje juz|wiecej|dostawac|otrzymywac|sobie|od|byc|waszych|tych wiecej|juz|dostawac|otrzymywac|od|waszych|takich|tych|zadnych|kontaktowany|was? wiecej|waszych|tych|takich|zadnych|od|dostawac|otrzymywac|was? {_PL}|wiecej|kontaktu",
        f"! zadnych|koniec|dosc wiecej|tych|juz|z|waszych tymi|tych|waszych? {_PL}",
        f"dosc {_PL}",
        "usuncie|usun|wypiszcie|wypisz|skreslcie|wykreslcie|usunac|wypisac|skasujcie|wykasujcie|usunie mnie|moj|moje|mojego|ten numer|z|ze|adres|dane|maila|email|mail|. z|ze|telefonu|.|,? waszej|listy|bazy|swojej|tej|newslettera|subskrypcji|kontaktow|prosze|.|,|tego",
        "wypisac|wypisuje|wyrejestrowac|wypisanie|wyrejestruj|wyrejestrujcie|rezygnuje|zrezygnowac|anulowac|anulujcie sie|z|mnie|subskrypcje z|subskrypcji|newslettera|listy|otrzymywania|wiadomosci|powiadomien|sms|smsow|tych|.|waszych newslettera|listy|subskrypcji|smsow|tych|wiadomosci?",
        "dajcie|daj|zostawcie|zostaw mi|mnie spokoj|w|wreszcie spokoju|spokoj?",
        "cofam|wycofuje|odwoluje moja? swoja? zgode",
        "zapomnijcie|skasujcie|usuncie moj numer",
        f"stop tym|wszystkim|{_PL} wiadomosciom|smsom|reklamom|.",
        ". prosze? ,? stop|przestancie|koniec|wypisz|przestan ,? prosze|juz? .",
    ),
}  # fmt: skip

TURNED_ROUND = {
    "en": (
        "dont", "not", "never", "didnt", "did you", "did they", "did u", "get", "got", "getting",
        "receive", "received", "have", "see", "there are", "are", "why did", "had", "you should",
        "when you", "if you", "after you", "until you", "wont",
    ),
    "de": ("nicht", "bekomme", "erhalte", "warum", "kommen", "habe", "wieso", "wenn", "gibt es"),
    "fr": ("pas", "pourquoi", "recois", "n ai", "n y", "a", "ai", "si vous", "quand"),
    "es": ("por que", "porque", "recibo", "recibi", "llegan", "tengo", "hay", "si", "cuando"),
    "it": ("perche", "ricevo", "arrivano", "ho", "ci sono", "se", "quando", "non"),
    "nl": ("waarom", "krijg", "ontvang", "heb", "zijn er", "als", "niet", "komen er"),
    "pt": ("por que", "porque", "recebo", "recebi", "chegam", "tenho", "ha", "se", "quando"),
    "pl": ("dlaczego", "dostaje", "czemu", "nie ma", "jesli", "gdy", "kiedy"),
}  # fmt: skip
"""What right before a phrase makes it no wish: "don't stop texting me"."""

COMPLAINTS = {
    "en": ("get", "getting", "got", "receive", "received", "receiving", "see", "have"),
    "de": ("bekomme", "bekommen", "erhalte", "kriege", "bekam", "erhielt", "kommen"),
    "fr": ("recois", "recoit", "recu", "arrive"),
    "es": ("recibo", "recibi", "llegan", "llega"),
    "it": ("ricevo", "ricevuto", "arrivano", "arriva"),
    "nl": ("krijg", "ontvang", "kreeg", "ontving", "komen"),
    "pt": ("recebo", "recebi", "chegam", "chega"),
    "pl": ("dostaje", "otrzymuje", "dostalem", "dostalam", "przychodza"),
}
"""What anywhere before a phrase that begins with ``!`` makes it the opposite of a wish.

"I have been getting no more messages since yesterday" asks for messages.
"""
