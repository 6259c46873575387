"""Who is who, and all that is theirs."""

import argparse

from ctxbridge.cli.commands.command import (
    ALWAYS,
    Command,
    fill_address,
    fill_json,
    fill_store,
    where_of,
    words,
)


def _fill_link(link: argparse.ArgumentParser) -> None:
    link.add_argument("contact", metavar="CONTACT", help="its id, or one of its addresses")
    link.add_argument("address", metavar="ADDRESS", help="the address that belongs to it too")
    fill_store(link)
    told = "what the claim rests on; it is stored"
    link.add_argument("--evidence", required=True, type=words, metavar="TEXT", help=told)
    fill_json(link)


def _fill_export(export: argparse.ArgumentParser) -> None:
    fill_address(export)
    fill_json(export, ALWAYS)


def _fill_erase(erase: argparse.ArgumentParser) -> None:
    fill_address(erase)
    erase.add_argument("--yes", action="store_true", help="erase it: this cannot be undone")
    fill_json(erase, ALWAYS)


def _run_link(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.identity import link

    a = arguments
    return link(a.contact, a.address, where_of(a), evidence=a.evidence, as_json=a.json)


def _run_export(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.identity import export

    return export(arguments.address, where_of(arguments))


def _run_erase(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.identity import erase

    return erase(arguments.address, where_of(arguments), sure=arguments.yes)


def _fill_evidence(command: argparse.ArgumentParser) -> None:
    told = "what it rests on; it is stored"
    command.add_argument("--evidence", required=True, type=words, metavar="TEXT", help=told)


def _fill_merge(merge: argparse.ArgumentParser) -> None:
    merge.add_argument("into", metavar="INTO", help="an address of the contact that stays")
    merge.add_argument("address", metavar="ADDRESS", help="an address of the one that joins it")
    fill_store(merge)
    told = "what it rests on; it is stored"
    merge.add_argument("--evidence", metavar="TEXT", help=told)
    told = "tell what it would come to, and change nothing"
    merge.add_argument("--preview", action="store_true", help=told)
    fill_json(merge, ALWAYS)


def _fill_split(split: argparse.ArgumentParser) -> None:
    fill_address(split)
    _fill_evidence(split)
    told = "the id of who was merged (default: who was merged last)"
    split.add_argument("--part", metavar="ID", help=told)
    fill_json(split, ALWAYS)


def _fill_unlink(unlink: argparse.ArgumentParser) -> None:
    fill_address(unlink)
    _fill_evidence(unlink)
    told = "whose is what it said: it stays with the contact, or goes along"
    unlink.add_argument("--history", required=True, choices=("stays", "goes"), help=told)
    fill_json(unlink, ALWAYS)


def _fill_history(history: argparse.ArgumentParser) -> None:
    fill_address(history)
    fill_json(history)


def _run_merge(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.persons import merge, preview

    a = arguments
    if a.preview:
        return preview(a.into, a.address, where_of(a))
    return merge(a.into, a.address, where_of(a), evidence=a.evidence or "")


def _run_split(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.persons import split

    a = arguments
    return split(a.address, a.part, where_of(a), evidence=a.evidence)


def _run_unlink(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.persons import unlink

    a = arguments
    return unlink(a.address, where_of(a), evidence=a.evidence, history=a.history)


def _run_history(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.persons import history

    a = arguments
    return history(a.address, where_of(a), as_json=a.json)


COMMANDS = (
    Command(
        "link",
        "say that an address belongs to a contact",
        "Both lead to one conversation from now on. An address that has a history under another "
        "contact is not linked.",
        "ctxbridge link sms:+15550100142 email:ann@example.org --evidence crm:4711 --db support.db",
        _fill_link,
        _run_link,
    ),
    Command(
        "merge",
        "make one contact of two",
        "All addresses and both ids lead to one conversation from now on; `split` undoes it. Where "
        "both have a state of your own this cannot tell how they become one: use Bridge.merge.",
        "ctxbridge merge sms:+15550100142 email:ann@example.org --evidence ticket:1 --db shop.db",
        _fill_merge,
        _run_merge,
    ),
    Command(
        "split",
        "undo a merge, with what arrived since by the addresses that came with it",
        "Both contacts are as they were before.",
        "ctxbridge split sms:+15550100142 --evidence ticket:2 --db support.db",
        _fill_split,
        _run_split,
    ),
    Command(
        "unlink",
        "say that an address is not its contact's any more",
        "It is somebody new from now on.",
        "ctxbridge unlink sms:+15550100142 --history stays --evidence crm:7 --db support.db",
        _fill_unlink,
        _run_unlink,
    ),
    Command(
        "history",
        "tell how a contact came by its addresses: links, merges, splits, proposals",
        "The file is opened for reading only.",
        "ctxbridge history sms:+15550100142 --db support.db",
        _fill_history,
        _run_history,
    ),
    Command(
        "export",
        "print all that is stored of a contact, as JSON Lines",
        "Texts and addresses are printed whole. The file is opened for reading only.",
        "ctxbridge export sms:+15550100142 --db support.db --tenant acme > ann.jsonl",
        _fill_export,
        _run_export,
    ),
    Command(
        "erase",
        "erase a contact and all that is stored of them, and print the certificate",
        "Exit codes: 0 it is done; 1 nobody is stored; 2 an error, or --yes is missing.",
        "ctxbridge erase sms:+15550100142 --db support.db --tenant acme --yes",
        _fill_erase,
        _run_erase,
    ),
)
