"""One artefact of a trained network for deployment, and the proof that it is the same model.

done = export_model(model, "068.bundle", ExportOptions(to="onnx"), images=open_source("people", size=(112, 96)))
done.threshold                            calibrated with the vectors of the exported file
done.parity                               what was compared, before and after
"""

from angulus.export.assembly import Exported, ExportOptions, export_model

__all__ = ["ExportOptions", "Exported", "export_model"]
