"""Wiring of the statistics pipeline."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from amorph2d.pipelines.statistics import nodes

NETWORK = ("sites", "bonds", "angles", "rings", "ring_atoms")
MEASURED = ("ring_order", "ring_grains", "boundary_points", "strain", "defects")
LOCALISATION, STATISTICS = "params:localisation", "params:statistics"
COMPUTING = "params:computing"


def create_pipeline(**_: object) -> Pipeline:
    """Create the statistics pipeline: bonds, rings, distributions, summary, figures, report."""
    return pipeline(
        [
            node(
                nodes.find_network,
                inputs=["calibration", "sites", STATISTICS, COMPUTING],
                outputs=["bonds", "angles", "rings", "ring_atoms"],
                name="find_network",
            ),
            node(
                nodes.compare_criteria,
                inputs=["calibration", "sites", "bonds", "rings", "ring_atoms", STATISTICS, COMPUTING],
                outputs=["ring_criteria", "network_checks"],
                name="compare_criteria",
            ),
            node(
                nodes.measure_order,
                inputs=["calibration", *NETWORK, "windows", STATISTICS, COMPUTING],
                outputs=["ring_order", "crystallites", "ring_adjacency"],
                name="measure_order",
            ),
            node(
                nodes.measure_pairs,
                inputs=["calibration", "sites", "windows", STATISTICS, COMPUTING],
                outputs=["pdf", "structure_factors", "shells"],
                name="measure_pairs",
            ),
            node(
                nodes.measure_crystal,
                inputs=["calibration", *NETWORK, "windows", STATISTICS, COMPUTING],
                outputs=["ring_grains", "grains", "boundaries", "boundary_points", "strain"],
                name="measure_crystal",
            ),
            node(
                nodes.find_defects,
                inputs=["calibration", "micrographs", *NETWORK, "windows", STATISTICS, COMPUTING],
                outputs=["defects", "defect_rings", "defect_atoms", "dopants"],
                name="find_defects",
            ),
            node(
                nodes.measure_pores,
                inputs=["calibration", "masks", STATISTICS, COMPUTING],
                outputs="pores",
                name="measure_pores",
            ),
            node(
                nodes.export_structures,
                inputs=["calibration", "sites", "rings", "ring_atoms", COMPUTING],
                outputs=["structures", "ring_polygons"],
                name="export_structures",
            ),
            node(
                nodes.count_blocks,
                inputs=[
                    *("calibration", *NETWORK, "windows", "masks", "dopants", *MEASURED),
                    *(STATISTICS, COMPUTING),
                ],
                outputs="counts",
                name="count_blocks",
            ),
            node(
                nodes.compare_groups,
                inputs=["calibration", "micrographs", "counts", "sites", "bonds", "angles", STATISTICS],
                outputs=[
                    "group_comparison",
                    "group_distances",
                    "group_comparison_json",
                    "group_lengths_plot",
                    "group_angles_plot",
                    "group_rings_plot",
                    "comparison_svg",
                    "comparison_pdf",
                ],
                name="compare_groups",
            ),
            node(
                nodes.measure_detection,
                inputs=["calibration", "sites", "windows", STATISTICS, COMPUTING],
                outputs="detection",
                name="measure_detection",
            ),
            node(
                nodes.summarise,
                inputs=["calibration", "counts", "detection", STATISTICS],
                outputs=["summary", "summary_json"],
                name="summarise",
            ),
            node(
                nodes.summarise_regions,
                inputs=[
                    "calibration",
                    "micrographs",
                    "sites",
                    "bonds",
                    "angles",
                    "rings",
                    "ring_atoms",
                    "windows",
                    "masks",
                    "dopants",
                    "detection",
                    "params:region",
                    STATISTICS,
                    COMPUTING,
                ],
                outputs="regions",
                name="summarise_regions",
            ),
            node(
                nodes.follow_series,
                inputs=[
                    "calibration",
                    "sites",
                    "bonds",
                    "rings",
                    "ring_atoms",
                    "drift",
                    "windows",
                    STATISTICS,
                ],
                outputs=["events", "event_rates"],
                name="follow_series",
            ),
            node(
                nodes.measure_evolution,
                inputs=["summary", "calibration", "drift", STATISTICS],
                outputs=["evolution", "trends", "evolution_plot"],
                name="measure_evolution",
            ),
            node(
                nodes.make_films,
                inputs=[
                    "calibration",
                    "micrographs",
                    "sites",
                    "rings",
                    "ring_atoms",
                    "drift",
                    "events",
                    STATISTICS,
                ],
                outputs="films",
                name="make_films",
            ),
            node(
                nodes.collect_views,
                inputs=[
                    "calibration",
                    "micrographs",
                    "sites",
                    "bonds",
                    "angles",
                    "rings",
                    "ring_atoms",
                    "pdf",
                ],
                outputs="views",
                name="collect_views",
            ),
            node(
                nodes.plot_distributions,
                inputs=["views", "summary"],
                outputs=[
                    "bond_lengths_plot",
                    "angles_plot",
                    "ring_sizes_plot",
                    "pair_distribution_plot",
                    "distributions_svg",
                    "distributions_pdf",
                ],
                name="plot_distributions",
            ),
            node(
                nodes.add_details,
                inputs=[
                    "views",
                    "calibration",
                    "masks",
                    "twins",
                    "films",
                    "defects",
                    "ring_order",
                    "strain",
                    "structure_factors",
                    "ring_adjacency",
                    COMPUTING,
                ],
                outputs="detailed_views",
                name="add_details",
            ),
            node(
                nodes.draw_fields,
                inputs=[
                    "views",
                    "calibration",
                    "ring_order",
                    "strain",
                    "ring_grains",
                    "boundary_points",
                    COMPUTING,
                ],
                outputs="field_maps",
                name="draw_fields",
            ),
            node(nodes.plot_maps, inputs=["views", COMPUTING], outputs="ring_maps", name="plot_maps"),
            node(
                nodes.write_report,
                inputs=[
                    "detailed_views",
                    "summary",
                    "calibration",
                    "evolution",
                    "group_comparison",
                    LOCALISATION,
                    "params:analysis",
                    STATISTICS,
                ],
                outputs="report",
                name="write_report",
            ),
        ]
    )
