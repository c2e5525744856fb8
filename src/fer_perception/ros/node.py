"""The lifecycle node `fer`: images in, /emotions out."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import rclpy
from lifecycle_msgs.srv import ChangeState
from rclpy.clock import Clock, ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from std_srvs.srv import SetBool, Trigger

from fer_perception.crop_pipeline import CropPipeline
from fer_perception.errors import ConfigError, FerError
from fer_perception.imaging.encodings import decode_message
from fer_perception.live.camera_slots import CameraSlots
from fer_perception.live.camera_statistics import CameraStatistics
from fer_perception.live.worker import RunningPipeline, Worker, WorkerCallbacks
from fer_perception.pipeline import build_pipeline
from fer_perception.results.messages import stamp_ns_of
from fer_perception.ros.cameras import CameraTopic, camera_topics
from fer_perception.ros.diagnostics import NodeState
from fer_perception.ros.diagnostics_publisher import DiagnosticsPublisher, Observed
from fer_perception.ros.hri_consumer import FaceCallbacks, FacesConsumer
from fer_perception.ros.hri_messages import load_hri_msgs, require_expressions
from fer_perception.ros.outputs import CameraOutput, Output
from fer_perception.ros.parameters import Parameters
from fer_perception.ros.process import ended_by_shutdown, leave_signals_to_rclpy, params_files, refuse_errors
from fer_perception.ros.qos import NO_OPTIONS, Kind, default_qos, overridden, parameter_topic
from fer_perception.ros.topics import RESET_TRACKS, SET_ENABLED, Topic
from fer_perception.settings.declaration import Declaration, declaration_of
from fer_perception.settings.node_settings import ImageSourceSettings, NodeSettings
from fer_perception.settings.params_file import passed_over
from fer_perception.settings.pipeline_settings import PipelineSettings
from fer_perception.system.text import shown
from fer_perception.tracking.tracker import FaceIds

SUCCESS = TransitionCallbackReturn.SUCCESS

FAILURE = TransitionCallbackReturn.FAILURE


#: The same cause of the same camera is logged again after so many s.
LOG_PERIOD_S = 30.0

#: What stays as it is is said once.
LOG_PERIODS_S = {"zero_stamp": math.inf}

DIAGNOSTICS_PERIOD_S = 1.0


@dataclass
class _Configured:
    """Resources that exist from configure to cleanup."""

    cameras: list[CameraTopic]
    statistics: dict[str, CameraStatistics]
    slots: CameraSlots
    worker: Worker
    output: Output
    #: The output where another node's faces are consumed.
    consumer: FacesConsumer | None

    @property
    def observed(self) -> Observed:
        """For diagnostics."""
        return Observed(self.worker.pipeline, self.cameras, self.statistics, consuming=self.consumer is not None)


class FerNode(LifecycleNode):
    """Facial expression recognition as a managed node.

    Args:
        name: of the node.
        arguments: command line of the process, in which params files are named; what a file holds for other nodes is
            told.
        options: passed on to rclpy.node.Node (context, namespace, parameter_overrides, cli_args, ...).
    """

    def __init__(self, name: str = "fer", *, arguments: Sequence[str] = (), **options: Any) -> None:
        self._arguments = tuple(arguments)
        super().__init__(name, **options)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._configured: _Configured | None = None
        self._subscriptions_of_cameras: list[Subscription] = []
        self._enabled = True
        self._active_since: float | None = None
        self._failure = ""
        self._logged: dict[tuple[str, str], float] = {}
        # They outlive a cleanup: no id comes twice in the life of the node.
        self._face_ids: dict[bool, FaceIds] = {}
        self._parameters_of_node = Parameters(self, (PipelineSettings, NodeSettings), self._parameters_changed)
        for reason in self._parameters_of_node.problems.values():
            self.get_logger().error(f"{reason}; the node cannot be configured until it is corrected")
        self._told_of_parameters: set[str] = set()
        self._tell_unused_parameters(topics=False)
        self._diagnostics = DiagnosticsPublisher(self, self._qos)
        self.create_service(SetBool, SET_ENABLED.name, self._set_enabled)
        self.create_service(Trigger, RESET_TRACKS.name, self._reset_tracks)
        refuse_errors(self, ChangeState, RuntimeError, self._refuse_transition)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._publish_diagnostics, clock=self._steady)
        self._autostart_timer = None
        if self._node_settings.autostart:
            # In the executor, as every other transition: whoever made the node need not do anything else.
            self._autostart_timer = self.create_timer(0.0, self._autostart, clock=self._steady)

    # Lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: ARG002
        """Check the parameters and build the pipeline; FAILURE with the reason in the log and in diagnostics."""
        return self._attempt("configure", self._configure, self._release)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: ARG002
        """Subscribe to the cameras and begin."""
        return self._attempt("activate", self._activate, self._deactivate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: ARG002
        """Unsubscribe; tracks end."""
        self._deactivate()
        return SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: ARG002
        """Release the pipeline and the publishers."""
        self._release()
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: ARG002
        """Release everything, whatever the state was."""
        self._release()
        return SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:  # noqa: ARG002
        """Release everything; the node may be configured again."""
        self._release()
        return SUCCESS

    def create_statistics(self) -> CameraStatistics:
        """The figures of one more camera; benchmarks keep more of them."""
        return CameraStatistics()

    def destroy_node(self) -> None:
        """End the worker and destroy the node."""
        self._release()
        super().destroy_node()

    def _attempt(self, what: str, action: Callable[[], None], undo: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            action()
        except Exception as err:  # noqa: BLE001 - a transition must fail with a reason, never end the node
            undo()
            self._failure = f"cannot {what}: {err}" if isinstance(err, FerError) else f"cannot {what}: {err!r}"
            self.get_logger().error(self._failure)
            self._publish_diagnostics()
            return FAILURE
        self._failure = ""
        return SUCCESS

    def _configure(self) -> None:
        self._check_problems()
        self._diagnostics.renew()
        mode = self._node_settings.ros4hri
        hri = None if mode == "disabled" else load_hri_msgs()
        # Another node's faces instead of cameras.
        consumer = None
        if hri is not None and mode == "consume":
            consumer = FacesConsumer(self, hri, self._qos, self._face_callbacks())
        cameras = camera_topics(self, self._parameters_of_node) if consumer is None else []
        output: Output = consumer or CameraOutput(self, self._create_publisher, self._qos, hri)
        settings = self._pipeline_settings
        ids = self._face_ids.setdefault(settings.deterministic_ids, FaceIds(deterministic=settings.deterministic_ids))

        rotations = {camera.name: camera.rotate for camera in cameras if camera.rotate is not None}

        def build() -> RunningPipeline:
            pipeline = build_pipeline(settings, progress=self.get_logger().info, ids=ids, rotations=rotations)
            if hri is not None:
                try:
                    require_expressions(pipeline.classifier.metadata.labels)
                except ConfigError:
                    pipeline.close()
                    raise
            return pipeline if consumer is None else CropPipeline(pipeline)

        statistics = {camera.name: self.create_statistics() for camera in cameras}
        slots = CameraSlots(
            statistics,
            lambda camera, cause: statistics[camera].dropped(time.monotonic(), cause),
            self._node_settings.max_rate_hz,
        )
        work = WorkerCallbacks(
            build=build,
            decode=decode_message,
            stamp_ns=lambda message: stamp_ns_of(message.header.stamp),
            publish=output.publish,
            published=output.published,
            camera_ended=output.camera_ended,
            warn=self._warn,
        )
        worker = Worker(slots, statistics, settings, work)
        self._configured = _Configured(cameras, statistics, slots, worker, output, consumer)
        # Those of the quality of service are known only now.
        self._check_problems()
        self._tell_unused_parameters(topics=True)
        worker.start()
        # Building an engine can take minutes, in which this thread is the executor's.
        while not worker.wait_ready(DIAGNOSTICS_PERIOD_S):
            if not self.context.ok():
                msg = "told to end while the pipeline was being built"
                raise ConfigError(msg)
            self._publish_diagnostics()
        if worker.failure is not None:
            raise worker.failure
        pipeline: Any = worker.pipeline
        self.get_logger().info(
            f"{pipeline.classifier.metadata.model_id} on {pipeline.classifier.backend} ({pipeline.classifier.reason}); "
            f"detector {pipeline.detector.name} ({pipeline.detector.reason}; {pipeline.detector.model_file})"
        )
        if pipeline.detector.fallback:
            self.get_logger().warning(pipeline.detector.reason)
        if warning := pipeline.classifier.metadata.prior_warning:
            self.get_logger().warning(warning)

    def _activate(self) -> None:
        if self._configured is None:
            msg = "the node is not configured; configure it first"
            raise ConfigError(msg)
        for camera in self._configured.cameras:
            self._subscriptions_of_cameras.append(
                self.create_subscription(
                    camera.message_type,
                    camera.name,
                    self._receiver(camera.name, self._configured),
                    camera.qos,
                    qos_overriding_options=NO_OPTIONS,
                )
            )
        if self._configured.consumer is not None:
            self._configured.consumer.start()
        self._active_since = time.monotonic()
        if self._enabled:
            self._configured.worker.resume()

    def _deactivate(self) -> None:
        self._active_since = None
        for subscription in self._subscriptions_of_cameras:
            self.destroy_subscription(subscription)
        self._subscriptions_of_cameras.clear()
        if self._configured is not None:
            if self._configured.consumer is not None:
                self._configured.consumer.stop()
            self._configured.worker.pause()

    def _release(self) -> None:
        self._failure = ""
        self._deactivate()
        configured, self._configured = self._configured, None
        if configured is not None:
            configured.worker.stop()
            configured.output.close()

    def _autostart(self) -> None:
        self.destroy_timer(self._autostart_timer)
        self._autostart_timer = None
        if self._lifecycle_label == "unconfigured" and self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    def _refuse_transition(self, request: ChangeState.Request, response: Any, err: Exception) -> Any:
        asked = request.transition.label or request.transition.id
        reason = str(err).partition(", at ")[0]
        self.get_logger().warning(f"refused the transition {asked} in the state {self._lifecycle_label}: {reason}")
        response.success = False
        return response

    @property
    def _lifecycle_label(self) -> str:
        return str(self._state_machine.current_state[1])

    # Parameters

    @property
    def _pipeline_settings(self) -> PipelineSettings:
        return self._parameters_of_node.settings(PipelineSettings)

    @property
    def _node_settings(self) -> NodeSettings:
        return self._parameters_of_node.settings(NodeSettings)

    def _check_problems(self) -> None:
        if self._parameters_of_node.problems:
            raise ConfigError("; ".join(self._parameters_of_node.problems.values()))

    def _tell_unused_parameters(self, *, topics: bool) -> None:
        """Warn, once each, of values given at start that change nothing."""
        beside = (item.name for item in dataclasses.fields(ImageSourceSettings))
        told = self._parameters_of_node.unknown(beside, topics=topics)
        for path in params_files(self._arguments):
            try:
                told += passed_over(path, self.get_fully_qualified_name())
            except ConfigError as err:
                # ROS has read it all the same.
                told.append(str(err))
        for text in told:
            if text not in self._told_of_parameters:
                self._told_of_parameters.add(text)
                self.get_logger().warning(text)

    def _parameters_changed(self, names: Sequence[str]) -> None:
        if self._configured is None:
            return
        declared = {
            item.name: declaration_of(cls, item.name)
            for cls in (PipelineSettings, NodeSettings)
            for item in dataclasses.fields(cls)
        }
        # What is not declared there is quality of service.
        when = {name: declared.get(name, Declaration("")) for name in names}
        for name in (name for name in names if not when[name].live):
            self.get_logger().info(f"{name}: takes effect {when[name].effect}")
        if "max_rate_hz" in names:
            self._configured.slots.set_max_rate(self._node_settings.max_rate_hz)
        if any(item.live for item in when.values()):
            self._configured.worker.configure(self._pipeline_settings)

    def _create_publisher(self, message_type: type, topic: Topic) -> Any:
        qos = self._qos(topic, "publisher")
        return self.create_publisher(message_type, topic.name, qos, qos_overriding_options=NO_OPTIONS)

    def _qos(self, topic: Topic, kind: Kind) -> QoSProfile:
        name = self.resolve_topic_name(parameter_topic(topic))
        return overridden(self._parameters_of_node, name, kind, default_qos(topic))

    # Images

    def _receiver(self, camera: str, configured: _Configured) -> Callable[[Any], None]:
        statistics, slots = configured.statistics[camera], configured.slots

        def receive(message: Any) -> None:
            statistics.received(time.monotonic())
            slots.put(camera, message)

        return receive

    def _face_callbacks(self) -> FaceCallbacks:
        """Another node's faces as cameras that come and go."""

        def appeared(topic: str) -> None:
            if self._configured is not None:
                statistics = self._configured.statistics[topic] = self.create_statistics()
                statistics.awaited(time.monotonic())
                self._configured.slots.add(topic)

        def received(topic: str, message: Any) -> None:
            if self._configured is not None:
                self._configured.statistics[topic].received(time.monotonic())
                self._configured.slots.put(topic, message)

        def vanished(topic: str) -> None:
            if self._configured is not None:
                self._configured.slots.remove(topic)
                self._configured.worker.end_camera(topic)
                del self._configured.statistics[topic]
            # A copy: the worker may be logging.
            for key in [key for key in list(self._logged) if key[0] == topic]:
                self._logged.pop(key, None)

        return FaceCallbacks(appeared, received, vanished)

    def _warn(self, camera: str, cause: str, text: str) -> None:
        now = time.monotonic()
        period = LOG_PERIODS_S.get(cause, LOG_PERIOD_S)
        if now - self._logged.get((camera, cause), -math.inf) < period or not self.context.ok():
            return
        self._logged[camera, cause] = now
        again = "said once" if math.isinf(period) else f"not repeated for {period:.0f} s"
        self.get_logger().warning(f"{camera}: {shown(text)} ({cause}; {again})")

    # Services and diagnostics

    def _set_enabled(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        changed = self._enabled != request.data
        self._enabled = bool(request.data)
        if changed and self._configured is not None and self._active_since is not None:
            if self._enabled:
                self._active_since = time.monotonic()
                self._configured.worker.resume()
            else:
                self._configured.worker.pause()
        response.success = True
        response.message = "enabled" if self._enabled else "disabled: tracks have ended, emotions is silent"
        return response

    def _reset_tracks(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._configured is not None:
            self._configured.worker.reset_tracks()
        response.success = True
        response.message = "all tracks have ended" if self._configured is not None else "not configured: no tracks"
        return response

    def _publish_diagnostics(self) -> None:
        state = NodeState(
            name=self.get_fully_qualified_name().lstrip("/"),
            lifecycle=self._lifecycle_label,
            enabled=self._enabled,
            failure=self._failure,
            active_for=None if self._active_since is None else time.monotonic() - self._active_since,
            track_timeout=self._pipeline_settings.track_timeout,
        )
        self._diagnostics.publish(state, None if self._configured is None else self._configured.observed)


def main(args: list[str] | None = None, node_class: type[FerNode] = FerNode) -> int:
    """Run the node until it is told to end (Ctrl-C, SIGTERM).

    Args:
        args: command line; None = that of the process.
        node_class: what to run.

    Returns:
        Exit status: 0 = ended as told, 1 = could not start.
    """
    leave_signals_to_rclpy()
    begun = False
    try:
        rclpy.init(args=args)
        begun = True
        # Before the node: an executor cannot be made any more once a signal has ended the context.
        executor = SingleThreadedExecutor()
        node = node_class(arguments=sys.argv if args is None else args)
    except RuntimeError as err:
        if begun and not rclpy.ok():
            # Told to end while the node was being made.
            return 0
        print(f"fer: cannot start: {err}", file=sys.stderr)
        rclpy.try_shutdown()
        return 1
    try:
        with ended_by_shutdown():
            executor.add_node(node)
            executor.spin()
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0
