# One of three pods is asked to go, as in every rolling update. Clients should see next to nothing of it.
#
# The pod has time to finish what it has in hand. That takes a service that says that it is not ready when it is told to
# stop, and goes on answering until the endpoints have followed.
#
# Change namespace, selector and url to your own service. Everything else can stay as it is.

drill "pod-kill-one" {
  description = "One of three pods is deleted. Clients see next to nothing, and a new pod takes its place."

  # The whole run, from its plan to its report. A run that takes longer has failed.
  timeout = "10m"

  # The system under test. Its pods are found by labels; how many there should be is their Deployment's to say, and the
  # endpoints that count are those of the Service that selects them.
  target "deployment" "checkout" {
    namespace = "shop"
    selector  = "app=checkout"
  }

  # What stands for the clients: a new connection twenty times a second, through the Service, asking for something that
  # clients really ask for. A health page would say that a pod is on its way out, which is not what clients see.
  probe "http" "checkout" {
    url     = "http://checkout.shop.svc/orders"
    rate    = 20
    timeout = "500ms"
  }

  # Nothing is touched unless all is well for this long without a break.
  steady_state {
    hold    = "10s"
    timeout = "2m"

    assert {
      condition     = target.checkout.ready >= target.checkout.desired && probe.checkout.success_ratio >= 0.99
      error_message = "Not steady: ${target.checkout.ready} of ${target.checkout.desired} endpoints are ready, and a share of ${probe.checkout.success_ratio} of the requests succeeds."
    }
  }

  # The name of this fault is the target whose pods go. The oldest go first.
  fault "pod_kill" "checkout" {
    count = 1

    # With the pod's own grace period. "force_delete" leaves the processes about 2 s; "evict" asks the
    # PodDisruptionBudgets first, as the drain of a node does.
    method = "graceful"
  }

  # When to give up. A pod that was killed cannot be put back, but the run ends and says so.
  abort "outage" {
    condition     = probe.checkout.outage_seconds > duration("30s")
    error_message = "Checkout has not answered for ${probe.checkout.outage_seconds} s."
  }

  # What must hold for the run to pass. The worse end of each measurement's error bar counts.
  objectives {
    # Until requests succeed for good. Two other pods are there, so this is what the hand-over costs. What is shorter than
    # a blip (250ms) is none of it; unavailable = "0s" would ask that not a single request fails, or is late.
    recovery_time = "2s"

    # Until as many endpoints are ready again as are desired, none of them a victim's.
    redundancy_time = "2m"
  }
}
