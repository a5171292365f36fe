"""The delivery rules on Apache Kafka: the tests of the embedded broker, with another `kafka`.

Left out are those that break a broker of their own, and those that cut off PostgreSQL by its socket.
"""

# ruff: noqa: F401 - pytest collects what is imported
from tests.alerter.test_alerter_service import (
    test_dead_letters_are_counted_by_service_whatever_partitions_their_topic_has,
)
from tests.delivery.conftest import bench, logged, numbers, opened
from tests.delivery.test_delivery_batches import (
    batches,
    test_a_temporary_error_repeats_the_whole_batch_on_every_partition,
    test_duplicates_inside_a_batch_and_across_batches_count_once,
    test_many_events_are_handled_in_one_transaction,
    test_of_a_batch_that_fails_only_the_events_at_fault_are_buried,
)
from tests.delivery.test_delivery_dead_letters import (
    test_a_permanent_error_buries_its_event_at_once_with_its_origin,
    test_a_tombstone_without_a_key_is_kept,
    test_an_unexpected_error_is_tried_five_times_then_buried,
    test_headers_that_are_no_text_are_no_reason_to_lose_an_event,
    test_no_bytes_of_a_stranger_hold_up_the_flow_or_are_lost,
)
from tests.delivery.test_delivery_groups import (
    revoked,
    test_a_rebalance_waits_for_the_handler_in_flight,
    test_a_replica_that_restarts_has_its_partitions_back_and_disturbs_no_other,
)
from tests.delivery.test_delivery_order import (
    test_a_duplicate_is_not_handled_again_and_its_answer_has_the_same_id,
    test_a_handler_that_answers_none_publishes_nothing,
    test_a_handler_that_leaks_a_cancellation_or_an_exit_stops_nothing,
    test_a_temporary_error_holds_its_partition_in_order_and_no_other,
    test_an_answer_names_its_cause_its_chain_and_its_trace,
    test_what_passes_by_itself_is_tried_far_more_often_than_five_times,
)
from tests.delivery.test_delivery_replays import (
    test_a_replay_goes_to_one_service_alone,
    test_a_replayed_event_is_handled_unless_it_was,
)
from tests.delivery.test_foreign_producers import test_an_event_made_with_another_client_is_accepted
from tests.delivery.test_producer import (
    test_a_record_that_kafka_refuses_is_named_with_the_reason_and_all_others_are_taken_once,
    test_a_topic_that_is_not_there_refuses_all_its_records_at_once_and_no_others,
    test_a_topic_that_was_just_made_refuses_nothing,
    test_records_go_out_in_their_order,
    test_what_is_too_large_for_any_topic_is_refused_too,
)
from tests.delivery.test_topics import (
    admin,
    settings,
    test_a_service_that_may_make_no_topics_names_those_that_are_missing,
    test_a_service_warns_of_a_topic_with_other_partitions_and_works,
    test_a_topic_is_made_with_its_partitions_and_retention,
    test_another_number_of_partitions_is_told_and_never_changed,
    test_services_that_start_together_make_topics_once,
    test_topics_that_are_there_are_left_alone,
    topic,
)
