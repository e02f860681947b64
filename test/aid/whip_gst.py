#!/usr/bin/python3
# test/aid/whip_gst.py -- GStreamer's webrtcbin sends a WAV by WHIP.
# SPDX-License-Identifier: Apache-2.0
#
# usage: whip_gst.py URL TICKET FILE
#
# Debian 12 has no whipclientsink: this is what it does, with webrtcbin.  Prints
# `sending` when the way is there, and leaves (DELETE) when its input is closed.
import sys
import threading
import urllib.request
from urllib.parse import urljoin

import gi

gi.require_version('Gst', '1.0')
gi.require_version('GstSdp', '1.0')
gi.require_version('GstWebRTC', '1.0')
from gi.repository import Gst, GstSdp, GstWebRTC  # noqa: E402

url, ticket, path = sys.argv[1:]
Gst.init(None)
pipeline = Gst.parse_launch(
    'webrtcbin name=rtc bundle-policy=max-bundle '
    f'filesrc location={path} ! wavparse ! identity sync=true ! audioconvert ! audioresample ! '
    'opusenc inband-fec=true ! rtpopuspay pt=111 ! '
    'application/x-rtp,media=audio,encoding-name=OPUS,payload=111 ! rtc.')
rtc = pipeline.get_by_name('rtc')
ready = threading.Event()
gathered = threading.Event()
connected = threading.Event()


def ask(signal, *args):
    promise = Gst.Promise.new()
    rtc.emit(signal, *args, promise)
    promise.wait()
    return promise


def on_gathering(element, _):
    if rtc.get_property('ice-gathering-state') == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
        gathered.set()


def on_connection(element, _):
    if rtc.get_property('connection-state') == GstWebRTC.WebRTCPeerConnectionState.CONNECTED:
        connected.set()


rtc.connect('on-negotiation-needed', lambda _: ready.set())
rtc.connect('notify::ice-gathering-state', on_gathering)
rtc.connect('notify::connection-state', on_connection)
pipeline.set_state(Gst.State.PLAYING)
assert ready.wait(20), 'nothing to negotiate'
reply = ask('create-offer', None).get_reply()
ask('set-local-description', reply.get_value('offer'))
assert gathered.wait(20), 'no candidates'
offer = rtc.get_property('local-description').sdp.as_text()

request = urllib.request.Request(url, offer.encode(), {
    'Content-Type': 'application/sdp', 'Authorization': f'Bearer {ticket}'})
with urllib.request.urlopen(request) as answer:
    session = urljoin(url, answer.headers['Location'])
    text = answer.read().decode()
result, message = GstSdp.SDPMessage.new_from_text(text)
ask('set-remote-description', GstWebRTC.WebRTCSessionDescription.new(
    GstWebRTC.WebRTCSDPType.ANSWER, message))
assert connected.wait(20), 'no connection'
print('sending', flush=True)
sys.stdin.read()
with urllib.request.urlopen(urllib.request.Request(session, method='DELETE')) as gone:
    print('left', gone.status, flush=True)
pipeline.set_state(Gst.State.NULL)
