from overparam.lab.board import board_row


def test_claims_stand_where_their_verdicts_say(toy):
    row = board_row(toy, {"T1": {"status": "partly", "proxy": True, "scale": "laptop", "estimate": 1.0}})
    claims = {c["claim"]: c for c in row["claims"]}
    assert list(claims) == [c.id for c in toy.claims]
    assert (claims["T1"]["status"], claims["T1"]["proxy"], claims["T1"]["scale"]) == ("partly", True, "laptop")
    others = [c for key, c in claims.items() if key != "T1"]
    assert all((c["status"], c["proxy"], c["scale"]) == (None, False, None) for c in others)
    assert [c["untestable"] for c in row["claims"]] == [bool(c.untestable) for c in toy.claims]
