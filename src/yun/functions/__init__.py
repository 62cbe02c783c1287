"""Network functions: instances of a small catalogue (firewall, proxy, VPN gateway) that the cloud configures.

A function is an instance: it is started, moved, snapshot, billed and deleted as one. This room knows what it shall do
(settings), turns that into its guest's configuration, gives it that by the seed and live by the guest agent, and asks
it how it does. It does not lead traffic to it: that is the networks' work.
"""
